import errno
import os
import re
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import __version__, registry
from harness.command import cli
from harness.command.options import parse
from harness.errors import BenchError, WeightsError
from harness.judging.store import Store
from harness.model import pretrained
from harness.model.backbones import FAMILIES
from harness.text import shown
from tests.harness.a_benchmark import benchmark, fill
from tests.harness.a_command import BENCH, bench_apart
from tests.harness.examples import a_record
from tests.harness.model.test_cards import a_set


def bench(capsys, *words):
    """Exit code, standard output and standard error of `bench words...`."""
    code = cli.main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_help_lists_every_command(capsys, words):
    code, out, _ = bench(capsys, *words)
    assert code == 0
    assert all(f"bench {name}" in out for name in cli.COMMANDS)


@pytest.mark.parametrize("word", ["--version", "version"])
def test_the_version_is_told(capsys, word):
    assert bench(capsys, word) == (0, f"cijbench {__version__}\n", "")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_and_every_option_has_a_help_text(capsys, name):
    code, out, _ = bench(capsys, *name.split(), "--help")
    assert code == 0
    options, _ = cli.COMMANDS[name]
    assert told_in(out, options.__doc__)
    for field in msgspec.structs.fields(options):
        if field.name != "own":
            (meta,) = field.type.__metadata__
            assert meta.description
            assert told_in(out, f"{field.name}={meta.description}"), field.name


def told_in(out, text):
    """Wherever the help breaks its lines."""
    return "".join(text.split()) in "".join(out.split())


@pytest.mark.parametrize("what", ["OPTIONS", "MAKE_OPTIONS"])
def test_every_option_of_a_suite_has_a_help_text(what):
    assert all(all(registry.options(name, what).values()) for name in registry.names("suites"))


def test_help_imports_nothing_heavy():
    code = """
import sys
from harness.command import cli
cli.main(["run", "--help"])
heavy = {"numpy", "pandas", "scipy", "tensorflow", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rum"], "unknown command 'rum': did you mean 'run'?"),
        (["data", "chek", "data=x"], "unknown command 'data chek': did you mean 'data check'?"),
        (["run", "sute=all"], "no option 'sute': did you mean 'suite'?"),
        (["run", "suite=elastcity"], "unknown suite 'elastcity': did you mean 'elasticity'?"),
        (["run", "suite=elasticity", "profile=smok"], "unknown profile 'smok': did you mean 'smoke'?"),
        (["run", "suite=elasticity", "variant=baselin"], "did you mean 'baseline'?"),
        (["run", "suite=elasticity", "backend=pytorhc"], "unknown backend 'pytorhc': did you mean 'pytorch'?"),
        (["run", "suite=elasticity", "backend=onnx"], "nothing to run"),
        (["run", "suite=elasticity", "variant=ridge", "backend=keras"], "nothing to run"),
        (["run", "seeds=0,one"], "seeds=0,one: must be whole numbers separated by commas"),
        (["run", "seeds=-1"], "seeds=-1: must lie between 0 and 2^32 - 1"),
        (
            ["parity", "pair=pair.py", "suite=shift"],
            "suite=shift: is only for the project's own variants, not for a pair",
        ),
        (["predict", "suite=all", "images=x", "out=y"], "unknown suite 'all'"),
        (["predict", "suite=elastcity", "images=x", "out=y"], "unknown suite 'elastcity': did you mean 'elasticity'?"),
        (["parity", "converter=out.py"], "converter=out.py: is only for a pair: also give pair=FILE.py"),
        (["run", "seeds=4294967296"], "must lie between 0 and 2^32 - 1"),
        (["run", "workers=-2"], "workers=-2: must be a whole number of at least 0"),
        (["run", "phases=1,2,3"], "must be four numbers"),
        (["run", "phases=nan,0.33,410,0.19"], "Young's moduli must be positive"),
        (["run", "phases=70,0.33,inf,0.19"], "Young's moduli must be positive"),
        (["run", "timeout=1e300"], "timeout=1e300: must be a number of at most"),
        (["run", "phases=70,0.7,410,0.19"], "Poisson's ratios must lie between -1 and 0.5"),
        (["run", "suite=elasticity", "phases=70,0.33,410,0.19"], "phases= describes a data set of your own"),
        (["run", "suite=elasticity", "target_scaling=none", "unit=N/mn^2"], "did you mean"),
        (["run", "suite=elasticity", "target_scaling=none"], "give it with unit="),
        (["run", "suite=elasticity", "data=/nowhere/at/all"], "/nowhere/at/all"),
        (
            ["run", "suite=elasticity", "weights=imagnet"],
            "weights=imagnet: must be auto, imagenet, random, a set of weights",
        ),
        (["run", "memory=-1"], "memory=-1: must be a number of at least 0"),
        (["run", "memory=lots"], "memory=lots: must be a number"),
        (["run", "seeds=1_000"], "seeds=1_000: must be whole numbers separated by commas"),
        (["run", "workers=1_000"], "workers=1_000: must be a whole number"),
        (["run", "timeout=1_000"], "timeout=1_000: must be a number"),
        (["run", "timeout=nan"], "timeout=nan: must be a number"),
        (["run", "phases=7_0,0.33,410,0.19"], "must be four numbers"),
        (["run", "data=a\0b"], "data='a\\x00b': contains characters that are not text"),
        (["run", "data=a\nb"], "data='a\\nb': contains characters that are not text"),
        (["run", "data=\udcff"], "data='\\udcff': contains characters that are not text"),
        (["run", "suite=\x1b]0;owned"], "contains characters that are not text"),
        (["\x1b]0;owned\x07"], "unknown command ']0;owned'"),
        (
            ["data", "make", "out=x", "contrast=0.5"],
            "contrast=0.5: the stiff phase over the soft one is a number from 1 to 1e6",
        ),
        (["data", "make", "out=x", "n=1_000"], "n=1_000: must be a whole number"),
        (["data", "make", "out=x", "n=1000000000"], "n=1000000000: must be a whole number of at most 100000"),
        (["data", "make", "out=x", "unit=furlong"], "unknown unit 'furlong'"),
        (["run", "phases=5e-324,0.33,410,0.19"], "between 1e-6 and 1e9 GPa"),
        (["latency", "model=x", "threads=5000"], "threads=5000: must be a whole number of at most 1024"),
        (["latency", "model=x", "batches="], "batches must be one size or more"),
        (["latency", "model=x", "batches=1,0"], "threads, batches, warm-up, runs and seconds must be positive"),
        (["latency", "model=x", "batches=65537"], "batches of at most 65536 images are timed"),
        (["latency"], "bench latency needs model="),
        (["latency", "model=none.onnx"], "model=none.onnx: there is no such file"),
        (["predict", "model=none.onnx", "images=.", "out=x.csv"], "model=none.onnx: there is no such file"),
        (["gradcam"], "bench gradcam needs model="),
        (["gradcam", "model=none.onnx"], "model=none.onnx: there is no such file"),
        (["gradcam", "model=x", "n=0"], "n=0: must be a whole number of at least 1"),
        (["run", "suite=elasticity", "without=stripes"], "is an option of suite representations, not of elasticity"),
        (["run", "targets=C11"], "targets=C11: is an option of suite own, not of contrast100, defects, elasticity"),
        (["data", "make", "out=x", "crystal=copper"], "is an option of suite polysilicon, not of elasticity"),
        (["data", "check", "data=.", "suite=elasticity", "targets=C11"], "an option of suite own, not of elasticity"),
        (["data", "check", "data=.", "without=stripes"], "without=stripes: is an option of suite representations"),
        (["run", "dry=true", "tracker=mlflow"], "tracker=mlflow: dry=true runs nothing"),
        (
            ["predict", "model=x.onnx", "variant=gp", "images=x", "out=y"],
            "variant=gp: chooses among the models of suite=, and model= names one",
        ),
        (
            ["reproduce", "suite=elasticity", "row=a/b", "results=mine", "out=./mine"],
            "out=mine: is the folder of the published records: choose another",
        ),
        (["report", "suite=elasticity", "device=gpu"], "device=gpu: must be one of cpu, cuda, cuda-tf32"),
        (["gradcam", "model=x", "targte=C11"], "no option 'targte': did you mean 'target'?"),
    ],
)
def test_wrong_usage_is_refused_and_leaves_nothing_behind(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = bench(capsys, *words)
    assert code == 2
    assert err.startswith("bench: ")
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_list_names_everything(capsys):
    code, out, _ = bench(capsys, "list")
    assert code == 0
    for word in ("suite elasticity", "variant baseline", "profile paper", "backend pytorch", "inference only"):
        assert word in out


def test_list_names_one_suite_in_columns(capsys):
    code, out, _ = bench(capsys, "list", "suite=elasticity")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("suite")] == ["suite elasticity"]
    lines = [line for line in out.splitlines() if line.startswith("  ")]
    assert len({re.match(r"  \w+ \S+  +", line).end() for line in lines}) == 1
    code, _, err = bench(capsys, "list", "suite=elastic")
    assert code == 2
    assert "did you mean 'elasticity'" in err


def test_what_a_variant_is_can_be_read_without_the_one_before_it():
    for name in registry.names("suites"):
        for variant in registry.suite(name).VARIANTS:
            assert "the same" not in variant.summary, f"{name}: {variant.name}"


def test_a_leaderboard_is_printed_as_a_table_and_nothing_is_written(capsys, tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = bench(capsys, "leaderboard", f"results={tmp_path}", "format=latex", "columns=variant, skill")
    assert code == 0
    assert "\\begin{tabular}{lr}" in out
    assert sorted(tmp_path.rglob("*")) == before
    code, out, _ = bench(capsys, "leaderboard", f"results={tmp_path}", "columns=variant,skill")
    assert code == 0
    assert re.match(r"model +skill\nbaseline +[\d.]+ ± [\d.]+\n", out)
    assert sorted(tmp_path.rglob("*")) == before
    code, out, _ = bench(capsys, "leaderboard", f"results={tmp_path}")  # and of a single suite, when it is written
    assert code == 0
    assert re.match(r"model +backend +skill .* verdict\nbaseline +keras ", out)
    assert f"\n{tmp_path}/leaderboards/elasticity.csv\n" in out
    code, out, _ = bench(capsys, "leaderboard", "suite=shift", "columns=help")
    assert code == 0
    assert re.search(r"^  skill +higher is better", out, re.M)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["format=tex"], "must be one of text, markdown, latex, html, csv"),
        (["format=csv"], "format=csv takes a single suite"),
        (["columns=skill", "check=true"], "check= and columns= ask for different things"),
        (["format=html", "check=true"], "check= and format= ask for different things"),
        (["diff=HEAD", "pictures=x"], "diff= and pictures= ask for different things"),
        (["format=html", "suite=elasticity", "columns=skil"], "did you mean 'skill'?"),
        (["format=html", "suite=shift"], "no finished records of shift"),
    ],
)
def test_a_table_that_cannot_be_had_is_refused(capsys, tmp_path, words, said):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    fill(Store(tmp_path, "leakage"), [])
    (tmp_path / "records" / "leakage").mkdir()
    (tmp_path / "records" / "leakage" / "trainings.jsonl").touch()
    code, out, err = bench(capsys, "leaderboard", f"results={tmp_path}", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_of_results_that_cannot_be_written_a_leaderboard_says_how_it_is_printed(capsys, tmp_path, monkeypatch):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 4.0}))

    def denied(path, _):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("harness.judging.leaderboard.write_whole", denied)
    code, _, err = bench(capsys, "leaderboard", "suite=elasticity", f"results={tmp_path}")
    assert code == 2
    assert "elasticity.csv: cannot be written (Permission denied): format=text prints the table" in err
    code, out, _ = bench(capsys, "leaderboard", "suite=elasticity", f"results={tmp_path}", "format=text")
    assert code == 0
    assert "baseline" in out


def test_a_leaderboard_without_its_records_fails_the_check(capsys, tmp_path):
    assert bench(capsys, "leaderboard", "check=true", f"results={tmp_path}")[0] == 1
    assert bench(capsys, "leaderboard", f"results={tmp_path}")[0] == 0
    Store(tmp_path, "elasticity").append(a_record())
    assert bench(capsys, "leaderboard", f"results={tmp_path}")[0] == 0
    assert bench(capsys, "leaderboard", "check=true", f"results={tmp_path}")[0] == 0
    Store(tmp_path, "elasticity").trainings_file.unlink()
    code, _, err = bench(capsys, "leaderboard", "check=true", f"results={tmp_path}")
    assert code == 1
    assert "elasticity: no records" in err


@pytest.mark.parametrize("command", ["latency", "predict"])
@pytest.mark.parametrize("name", ["folder", "pipe", "nowhere"])
def test_a_model_that_is_no_file_is_told_at_once(capsys, tmp_path, name, command):
    """Whoever opened a pipe would wait for its other end."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to(tmp_path / "nothing")
    words = [f"images={tmp_path}", f"out={tmp_path / 'out.csv'}"] if command == "predict" else []
    code, _, err = bench(capsys, command, f"model={tmp_path / name}", *words)
    assert code == 2
    assert err == f"bench: model={tmp_path / name}: not a file, but a folder, a pipe or a broken link\n"


@pytest.mark.parametrize("words", [["run"], ["latency", "model=x"], ["predict", "model=x", "images=x", "out=x"]])
def test_limits_are_the_same_wherever_there_are_any(capsys, words):
    told = " ".join(bench(capsys, words[0], "--help")[1].split())
    assert "time limit for one cell or model, in seconds; 0: no limit [default: 0]" in told
    assert "memory limit for one cell or model, in GiB; 0: nine tenths of this machine's memory, no limit on" in told
    for wrong in ("timeout=-1", "timeout=nan", "memory=-1", "memory=x"):
        code, _, err = bench(capsys, *words, wrong)
        assert code == 2
        assert f"{wrong}: must be" in err


def test_what_is_no_model_is_told_once(capsys, tmp_path):
    (tmp_path / "m.onnx").write_text("no model")
    code, _, err = bench(capsys, "latency", f"model={tmp_path / 'm.onnx'}")
    assert code == 2
    assert err == "bench: m.onnx: not an ONNX file\n"


def test_weights_are_listed_and_fetched(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    code, out, _ = bench(capsys, "weights", "list", f"results={tmp_path / 'results'}")
    assert code == 0
    assert out.splitlines()[0] == f"folder: {tmp_path / 'models'}"
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [[name, "missing"] for name in FAMILIES]

    def fetch(family, **_):
        if family == "resnet50":
            raise WeightsError("the line is dead")
        return tmp_path / family

    monkeypatch.setattr(pretrained, "fetch", fetch)
    code, out, err = bench(capsys, "weights", "fetch")
    assert code == 1
    assert out.splitlines() == [f"{name}: {tmp_path / name}" for name in ("vgg16", "densenet121")]
    assert err == "bench: resnet50: the line is dead\n"
    assert bench(capsys, "weights", "fetch", "backbone=vgg16")[0] == 0
    assert "did you mean 'resnet50'?" in bench(capsys, "weights", "fetch", "backbone=resnet5")[2]


def test_pictures_and_report_are_made_from_records(capsys, tmp_path):
    results = f"results={tmp_path / 'results'}"
    (tmp_path / "results").mkdir()
    fill(Store(tmp_path / "results", "elasticity"), benchmark({"baseline": 2.0, "tuned": 1.0}))
    code, out, _ = bench(capsys, "leaderboard", results, f"pictures={tmp_path / 'pictures'}")
    assert code == 0
    assert str(tmp_path / "pictures" / "elasticity" / "loss-tuned.png") in out.splitlines()
    code, out, _ = bench(capsys, "report", "suite=elasticity", results)
    assert code == 0
    page = tmp_path / "results" / "report" / "elasticity" / "report.md"
    assert out.splitlines()[-1] == str(page)
    assert "## Is a network worth it?" in page.read_text()


def test_a_report_of_nothing_is_refused(capsys, tmp_path):
    code, _, err = bench(capsys, "report", "suite=elasticity", f"results={tmp_path}")
    assert code == 2
    assert "`bench run` makes them" in err
    assert "did you mean 'elasticity'" in bench(capsys, "report", "suite=elastcity", f"results={tmp_path}")[2]


TYPED = st.text(max_size=20) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["true", "all", "~", ""])


@pytest.mark.parametrize("name", cli.COMMANDS)
@given(value=TYPED)
@settings(max_examples=25)
def test_whatever_an_option_is_given_is_taken_or_refused_in_words(name, value):
    """One option at a time, beside those that must be given; nothing is run."""
    options, _ = cli.COMMANDS[name]
    fields = [field for field in msgspec.structs.fields(options) if field.name != "own"]
    needed = {field.name: "x" for field in fields if field.required}
    for field in fields:
        words = [f"{key}={typed}" for key, typed in (needed | {field.name: value}).items()]
        try:
            found = parse(name, options, words)
        except BenchError as refusal:
            found = str(refusal)
        assert isinstance(found, options) or (field.name in found and shown(found) == found)


def test_a_reader_that_has_seen_enough_ends_the_command_unwell():
    """`bench list | head -0`: what was cut short must not look finished."""
    command = subprocess.Popen([*BENCH, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    command.stdout.close()
    _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (141, b"")


def test_a_terminal_that_cannot_show_a_character_is_told_its_number():
    done = bench_apart("run", "suite=é", timeout=60, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "unknown suite '\\xe9'" in done.stderr


def test_too_little_memory_is_told(capsys, monkeypatch):
    def hungry(_):
        raise MemoryError("Unable to allocate 15.3 TiB")

    monkeypatch.setitem(cli.COMMANDS, "list", (cli.commands.ListOptions, hungry))
    code, _, err = bench(capsys, "list")
    assert (code, err) == (2, "bench: not enough memory: Unable to allocate 15.3 TiB\n")


@pytest.mark.parametrize("again", ["SIGINT", "SIGALRM"])
def test_ctrl_c_exits_130_and_says_how_to_go_on_though_pressed_again_amid_the_exit(again):
    code = f"""
import atexit, os, signal, sys
from harness.command import cli

def interrupted(_):
    atexit.register(os.kill, os.getpid(), signal.{again})
    os.kill(os.getpid(), signal.SIGINT)

cli.COMMANDS["run"] = cli.commands.RunOptions, interrupted
sys.exit(cli.main(["run"]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    said = "\nbench: interrupted; finished work is kept; the same command resumes from there\n"
    assert (done.returncode, done.stderr) == (130, said)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_what_is_told_to_end_cleans_up_and_says_how_to_go_on(tmp_path, name, code):
    """As `timeout`, batch systems and a terminal that is closed do."""
    script = f"""
import os, signal, sys, tempfile
from harness.command import cli

signal.signal(signal.{name}, signal.SIG_DFL)  # which nohup has ignored

def told(_):
    open(tempfile.gettempdir() + "/left", "w").close()
    os.kill(os.getpid(), signal.{name})

cli.COMMANDS["run"] = cli.commands.RunOptions, told
sys.exit(cli.main(["run"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert done.stderr.startswith("\nbench: terminated; finished work is kept")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["results=afile"], ["junit=folder"], ["markdown=folder"]])
def test_a_climb_whose_verdicts_could_not_be_written_is_not_begun(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afile").write_text("")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("harness.parity.climb.climb", lambda request: pytest.fail("climbed"))
    code, _, err = bench(capsys, "parity", *words)
    assert code == 2
    assert "exists and is not a folder" in err or "is a folder: name a file" in err


@pytest.mark.parametrize("words", [[], ["check=true"], ["format=csv"]])
def test_a_leaderboard_of_a_file_is_refused(capsys, tmp_path, words):
    (tmp_path / "afile").write_text("")
    code, out, err = bench(capsys, "leaderboard", f"results={tmp_path / 'afile'}", *words)
    assert (code, out) == (2, "")
    assert "afile: exists and is not a folder: choose another" in err


def test_a_pipe_or_a_loop_in_a_records_place_is_told_and_not_waited_for(capsys, tmp_path):
    store = Store(tmp_path, "elasticity")
    store.append(a_record())
    results = f"results={tmp_path}"
    assert bench(capsys, "leaderboard", results)[0] == 0
    table = tmp_path / "leaderboards" / "elasticity.csv"
    table.unlink()
    os.mkfifo(table)
    code, _, err = bench(capsys, "leaderboard", "check=true", results)
    assert (code, err) == (2, f"bench: {table}: exists and is not a file\n")
    table.unlink()
    store.latencies_file.symlink_to(store.latencies_file)
    code, _, err = bench(capsys, "leaderboard", results)
    assert (code, err) == (2, f"bench: {store.latencies_file}: exists and is not a file\n")


def test_a_report_takes_nobody_elses_page_away(capsys, tmp_path):
    (tmp_path / "results").mkdir()
    fill(Store(tmp_path / "results", "elasticity"), benchmark({"baseline": 2.0}))
    words = ("report", "suite=elasticity", f"results={tmp_path / 'results'}", f"out={tmp_path / 'page'}")
    assert bench(capsys, *words)[0] == 0
    assert bench(capsys, *words)[0] == 0  # its own it may
    (tmp_path / "page" / "report.md").write_text("# My thesis")
    code, _, err = bench(capsys, *words)
    assert code == 2
    assert "is not a report of elasticity: choose another out=" in err
    assert (tmp_path / "page" / "report.md").read_text() == "# My thesis"


def test_sets_of_weights_are_listed_with_what_their_cards_say(capsys, tmp_path):
    a_set(tmp_path / "weights" / "ours")
    code, out, _ = bench(capsys, "weights", "list", f"results={tmp_path}")
    assert code == 0
    assert out.splitlines()[-2] == f"folder: {tmp_path / 'weights' / 'ours'}"
    assert re.match(
        r"densenet121  ready    sha256 \w{12}  skill 0.5000, 1,000 images, pytorch, made 2026", out.splitlines()[-1]
    )


def test_weights_are_attached(capsys, tmp_path):
    contents = a_set(tmp_path / "weights" / "ours")
    place = tmp_path / "weights" / "ours" / "densenet121.safetensors"
    (tmp_path / "handed").mkdir()
    place.rename(tmp_path / "handed" / "any.safetensors")
    code, out, _ = bench(capsys, "weights", "attach", f"files={tmp_path / 'handed'}", f"results={tmp_path}")
    assert (code, out) == (0, f"{place}\n")
    assert place.read_bytes() == contents


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("attach", "files=nowhere"), "there are no cards of weights"),
        (("make", "backend=classical"), "unknown backend that trains networks 'classical'"),
        (("make", "suite=polysilicon"), "this suite draws no data to train backbones on"),
        (("make", "suite=all"), "unknown suite 'all'"),
        (("make", "n=1500"), "n=1500"),
        (("make", "backbone=vgg19"), "did you mean 'vgg16'"),
    ],
)
def test_weights_that_cannot_be_had_are_refused(capsys, tmp_path, words, why):
    code, _, err = bench(capsys, "weights", *words, f"results={tmp_path}")
    assert code == 2
    assert why in err
    assert list(tmp_path.iterdir()) == []
