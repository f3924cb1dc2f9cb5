import os
import subprocess

import msgspec
import pytest

from harness.errors import BenchError
from harness.running import apart
from harness.running.apart import Stopped, ask
from harness.running.guard import Limits

START = subprocess.Popen
NONE = Limits()
READY = '{"type":"Ready"}'


class Request(msgspec.Struct):
    what: str = "anything"


class Answered(msgspec.Struct):
    number: int


def ask_script(monkeypatch, script, limits=NONE, on_progress=lambda done, total: None):
    """What is answered by a shell that runs `script` in the place of a module."""
    monkeypatch.setattr(
        apart.subprocess, "Popen", lambda command, **options: START(["/bin/sh", "-c", script], **options)
    )
    return ask("none", Request(), Answered, limits, on_progress)


def saying(*messages):
    return "; ".join(f"echo '{message}'" for message in messages)


def an_answer(peak_gib=0.1):
    return f'{{"type":"Answer","value":{{"number":42}},"peak_gib":{peak_gib}}}'


def test_an_answer_is_what_was_asked_for(monkeypatch):
    seen = []
    script = "read request; " + saying(READY, '{"type":"Progress","done":1,"total":2}', an_answer())
    answered = ask_script(monkeypatch, script, on_progress=lambda done, total: seen.append((done, total)))
    assert answered == Answered(42)
    assert seen == [(1, 2)]


def test_a_process_that_has_answered_is_not_waited_for(monkeypatch):
    assert ask_script(monkeypatch, saying(READY, an_answer()) + "; exec sleep 600") == Answered(42)


def test_a_refusal_is_raised_as_it_is(monkeypatch):
    with pytest.raises(BenchError, match=r"^m\.onnx: not an ONNX file$") as raised:
        ask_script(monkeypatch, saying(READY, '{"type":"Refused","reason":"m.onnx: not an ONNX file"}'))
    assert not isinstance(raised.value, Stopped)


def test_a_process_that_dies_is_quoted(monkeypatch):
    with pytest.raises(Stopped, match=r"^its process was killed by signal 9:\n  these are my\n  last words$"):
        ask_script(monkeypatch, "echo these are my >&2; echo last words >&2; kill -9 $$")
    with pytest.raises(Stopped, match=r"^its process ended with exit code 3$"):
        ask_script(monkeypatch, "exit 3")


@pytest.mark.parametrize("said", ["what?", '{"type":"Answ', '{"type":"Done"}'])
def test_a_process_that_talks_nonsense_is_ended(monkeypatch, said):
    with pytest.raises(Stopped, match="was killed by signal 9"):
        ask_script(monkeypatch, saying(READY, said) + "; exec sleep 600")


def test_an_answer_that_is_none_is_refused(monkeypatch):
    """As of a file whose numbers are none, which JSON writes as null."""
    with pytest.raises(BenchError, match=r"what came of it is no answer: Expected `int`, got `null`"):
        ask_script(monkeypatch, saying(READY, '{"type":"Answer","value":{"number":null},"peak_gib":0.1}'))


def test_a_process_that_takes_too_long_is_stopped(monkeypatch):
    with pytest.raises(Stopped, match=r"^stopped: it took longer than timeout=0\.1 seconds$"):
        ask_script(monkeypatch, saying(READY) + "; exec sleep 600", Limits(0.1))


def test_an_answer_for_which_too_much_memory_was_taken_is_none(monkeypatch):
    with pytest.raises(Stopped, match=r"^stopped: it took 7\.00 GiB of memory, more than memory=6$"):
        ask_script(monkeypatch, saying(READY, an_answer(peak_gib=7)), Limits(memory_gib=6))


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_error_of_the_caller_ends_the_process(monkeypatch, tmp_path, error):
    def fail(done, total):
        raise error

    script = f"echo $$ > {tmp_path}/pid; " + saying('{"type":"Progress","done":1,"total":2}') + "; exec sleep 600"
    with pytest.raises(error):
        ask_script(monkeypatch, script, on_progress=fail)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_lies_in_the_users_folder_is_not_imported(monkeypatch, tmp_path):
    for name in ("harness", "numpy", "msgspec", "onnx"):
        (tmp_path / f"{name}.py").write_text(f"open('{name}-was-imported', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError, match="there is no such file"):
        ask("harness.running.predict", _PredictRequest("none.onnx", "."), Answered, Limits(), lambda done, total: None)
    assert not list(tmp_path.glob("*-was-imported"))


class _PredictRequest(msgspec.Struct):
    model: str
    images: str
