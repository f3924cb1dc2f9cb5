import importlib
import os
import signal
import sys

import pytest

from harness.signals import imports_uninterrupted

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="signals cannot be held back here")


@pytest.fixture
def answers():
    """As Python answers signals; a command that was run in this process leaves other answers."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGALRM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield lambda: {number: signal.getsignal(number) for number in usual} == usual
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The name of a module that is interrupted while it is imported."""
    (tmp_path / "pressed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "pressed"
    sys.modules.pop("pressed", None)


def test_an_interrupt_amid_an_import_comes_after_it(answers, interrupted):
    with pytest.raises(KeyboardInterrupt), imports_uninterrupted():
        assert importlib.import_module(interrupted) and signal.pause()  # noqa: PT018  it comes here
    assert sys.modules[interrupted].whole
    assert answers()


def test_one_that_still_waits_comes_at_the_end(answers, interrupted):
    with pytest.raises(KeyboardInterrupt), imports_uninterrupted():
        importlib.import_module(interrupted)
    assert sys.modules[interrupted].whole
    assert answers()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_one_amid_anything_else_comes_at_once(answers):
    went_on = []
    with pytest.raises(KeyboardInterrupt), imports_uninterrupted():
        went_on.append(os.kill(os.getpid(), signal.SIGINT))
    assert not went_on
    assert answers()


def test_who_answers_in_a_way_of_its_own_goes_on_to(answers):
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append("pressed"))
    with imports_uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
    assert heard == ["pressed"]


def test_within_an_import_an_interrupt_does_not_wait_for_its_end(answers, tmp_path, monkeypatch):
    """A script that is imported may train for hours."""
    lines = (
        "import os, signal",
        "from harness.signals import imports_uninterrupted",
        "with imports_uninterrupted():",
        "    os.kill(os.getpid(), signal.SIGINT)",
    )
    (tmp_path / "trains.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("trains")
    assert "trains" not in sys.modules
