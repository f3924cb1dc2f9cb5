import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.command import cli
from harness.errors import BenchError
from harness.judging import cells, leaderboard
from harness.judging.moved import between, differ, in_markdown, since
from harness.judging.store import Store
from tests.harness.examples import a_cell, a_record
from tests.history import git

HEAD = "variant,backend,profile,skill,rmse_GPa,status,seeds,commit"


def table(*rows, head=HEAD):
    return "\n".join([head, *rows]) + "\n"


A, B, C = (
    "a,keras,standard,0.9,1.5,ok,0 1,c1",
    "b,keras,standard,0.8,2.5,ok,0 1,c1",
    "c,keras,standard,0.7,3.5,ok,0 1,c1",
)


def test_nothing_moves_by_itself():
    moved = between("x", table(A, B), table(A, B))
    assert not moved.anything
    assert in_markdown([moved], "main") == "### Leaderboards since main\n\nNothing moved.\n"


def test_rows_go_and_come_with_their_rank():
    moved = between("x", table(A, B), table(A, C))
    assert moved.gone == ["b on keras, skill 0.8, profile standard, seeds 0 1, commit c1"]
    assert moved.new == ["c on keras, skill 0.7, profile standard, seeds 0 1, commit c1, ranks 2 of 2"]
    assert moved.values == moved.ranks == []


def test_a_row_that_is_made_again_neither_went_nor_came():
    head = f"{HEAD},computed_by,train_seconds"
    then, same, other = f"{A},old,5.0", f"{A},new,7.0", f"{A.replace('1.5', '1.6')},new,7.0"
    moved = between("x", table(then, head=head), table(same.replace("c1", "c2"), head=head))
    assert moved.again == ["a on keras, skill 0.9, profile standard, seeds 0 1, commit c2, as it was"]
    assert moved.gone == moved.new == moved.values == moved.ranks == []
    assert "**x**: 1 made again" in in_markdown([moved], "main")
    moved = between("x", table(then, head=head), table(other, head=head))
    assert moved.again == ["a on keras, skill 0.9, profile standard, seeds 0 1, commit c1, rmse_GPa 1.5 → 1.6"]
    twice = between("x", table(then, f"{A},older,5.0", head=head), table(same, head=head))
    assert not twice.again  # of two it is not known which


def test_values_and_ranks_change():
    moved = between("x", table(A, B, C), table(A, B, C.replace("0.7", "0.95")))
    assert moved.values == ["c on keras: skill 0.7 → 0.95"]
    assert sorted(moved.ranks) == [
        "a on keras: 1 → 2 of 3 that both have",
        "b on keras: 2 → 3 of 3 that both have",
        "c on keras: 3 → 1 of 3 that both have",
    ]


def test_rows_of_other_profiles_are_ranked_apart():
    moved = between("x", table(A, B, C), table(A, B, C.replace("0.7", "0.6").replace("standard", "paper")))
    assert moved.ranks == []
    assert moved.new == ["c on keras, skill 0.6, profile paper, seeds 0 1, commit c1, ranks 1 of 1"]


def test_columns_come_and_go():
    moved = between("x", table(A), table(A + ",1", head=HEAD.replace("rmse", "rms") + ",more"))
    assert moved.columns == ["rms_GPa is new", "more is new", "rmse_GPa is gone"]
    assert moved.values == moved.new == []


def test_a_failure_has_a_row_without_a_rank():
    failed = "c,keras,standard,,,1 of 1 failed: no,,c1"
    assert between("x", table(A), table(A, failed)).new == [
        "c on keras, 1 of 1 failed, profile standard, seeds , commit c1"
    ]


def test_a_leaderboard_may_be_new_or_gone():
    assert len(between("x", "", table(A, B)).new) == len(between("x", table(A, B), "").gone) == 2


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("0.123456", "0.123457", False),  # another machine sums in another order
        ("0.123456", "0.123459", True),
        ("123456", "123457", False),
        ("1e-09", "0", False),
        ("0", "0.0", False),
        ("-0", "0", False),
        ("1e-07", "2e-07", True),
        ("", "0.5", True),
        ("ok", "1 of 3 failed", True),
        ("nan", "0.5", True),
        ("inf", "0.5", True),
        ("0.5", "-0.5", True),
    ],
)
def test_values_differ_beyond_their_last_printed_digit(one, other, told):
    assert differ(one, other) == differ(other, one) == told


@given(st.floats(-1e12, 1e12))
def test_rounding_moves_nothing(value):
    assert not differ(cells.text(value), cells.text(value * (1 + 1e-12)))


def test_what_a_stranger_wrote_is_text():
    moved = between("x", table(), table("<script>|[x](y),keras,standard,0.9,1,ok,0,c"))
    assert "&lt;script&gt;\\|\\[x\\](y)" in in_markdown([moved], "main")


def test_many_lines_are_counted():
    many = [A.replace("a,", f"a{number},", 1) for number in range(50)]
    assert "and 30 more" in in_markdown([between("x", table(), table(*many))], "main")


@pytest.mark.parametrize("text", [table("a" * 200_000), table(A, head="a" * 200_000)])
def test_what_is_no_table_is_refused(text):
    with pytest.raises(BenchError, match="is no CSV"):
        between("x", "", text)


@pytest.fixture
def results(tmp_path):
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    folder = tmp_path / "results"
    folder.mkdir()
    Store(folder, "elasticity").append(a_record())
    leaderboard.write(folder, "elasticity")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=x")
    return folder


def test_a_commit_is_held_against_what_is_on_disk(results, capsys):
    assert not since(results, "elasticity", "HEAD").anything
    Store(results, "elasticity").append(a_record(a_cell(variant="gp"), error=0.5))
    leaderboard.write(results, "elasticity")
    assert cli.main(["leaderboard", f"results={results}", "diff=main"]) == 0
    told = capsys.readouterr().out
    assert "**elasticity**: 1 new" in told
    assert "new: gp on classical" in told
    assert "ranks 1 of 2" in told


def test_what_was_saved_in_another_encoding_is_compared(results):
    """As a spreadsheet may have done."""
    path = leaderboard.leaderboard_file(results, "elasticity")
    path.write_bytes(path.read_bytes().replace(b",ok,", ",schließlich,".encode("cp1252"), 1))
    (told,) = since(results, "elasticity", "HEAD").values
    assert "status ok → schlie" in told


@pytest.mark.parametrize("reference", ["nothing", "--help", "HEAD:results", "a b", "-"])
def test_what_git_does_not_know_is_refused(results, reference):
    with pytest.raises(BenchError, match=f"diff={reference}: git knows no such commit"):
        since(results, "elasticity", reference)


def test_without_a_repository_there_is_nothing_to_compare(tmp_path):
    for folder in (tmp_path, tmp_path / "not-there"):
        with pytest.raises(BenchError, match="is in no git repository"):
            since(folder, "elasticity", "HEAD")


def test_without_git_there_is_nobody_to_ask(results, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match="diff= asks git, which cannot be run: "):
        since(results, "elasticity", "HEAD")


@pytest.mark.parametrize("then", [True, False])
def test_a_damaged_skill_is_told_by_file(then):
    good, bad = table(A, B), table(A, B).replace(B.split(",")[HEAD.split(",").index("skill")], "0.9x")
    with pytest.raises(BenchError, match=r"leaderboards/x\.csv: skill '0\.9x' is no number"):
        between("x", *((bad, good) if then else (good, bad)))
