import io
import re
import shlex
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.command import cli
from harness.command.commands import RunOptions
from harness.command.options import parse
from harness.errors import BenchError
from harness.judging import leaderboard
from harness.judging.blocks import difference, rows
from harness.judging.records import Examined, Settings
from harness.judging.store import Store
from harness.judging.timing import Latency
from harness.provenance import source
from harness.showing.site import build, details
from harness.showing.site.answers import headlines
from harness.showing.site.examples import Examples
from harness.showing.site.rows import read
from suites import contrast100, own, polysilicon
from tests.harness.a_benchmark import RAW, benchmark, fill
from tests.harness.examples import (
    ENVIRONMENT,
    a_cell,
    a_failure,
    a_latency,
    a_record,
    a_timing,
    as_rows,
    held_out_of,
    in_unlike_units,
    moved,
    with_held_out,
    with_images,
)

ROOT = Path(build.__file__).parents[3]
ERRORS = {"baseline": 4.0, "tuned": 1.0, "vgg16-head-only": 9.0}


def quiet(told):
    """A build tells how far it is; here nobody listens."""


def board_of(results, records):
    for record in records:
        Store(results, "elasticity").append(record)
    return read(results, "elasticity")


def test_a_headline_has_the_figures_that_it_is_asked_for(tmp_path):
    with_mape = [msgspec.structs.replace(record, metrics={"mape": 1.5}) for record in benchmark(ERRORS)]
    board = board_of(tmp_path, with_mape)
    front, page = headlines(board._replace(suite=polysilicon), rows(board.records))
    assert "MAPE 1.5 %" in page
    assert "MAPE" not in front
    assert "the best on the validation images, has a skill of" in front


def test_rows_and_csv_are_those_of_the_leaderboard(tmp_path):
    board = board_of(tmp_path, benchmark(ERRORS))
    leaderboard.write(tmp_path, "elasticity")
    folder = tmp_path / "leaderboards"
    assert board.csv == (folder / "elasticity.csv").read_text()
    ours = pd.read_csv(io.StringIO(board.tests_csv)).set_index(["row", "test"])
    theirs, places = pd.read_csv(folder / "elasticity-tests.csv"), list(range(1, len(board.rows) + 1))
    assert list(ours.index.levels[0]) == places
    for n, row in zip(places, board.rows, strict=True):
        of = theirs[(theirs["variant"] == row.values["variant"]) & (theirs["backend"] == row.values["backend"])]
        assert len(of)
        for line in of.to_dict("records"):
            names = [line["metric"], *(f"{line['metric']}_{name}" for name in ("sd", "low", "high"))]
            np.testing.assert_array_equal(
                ours.loc[(n, line["test"])].reindex(names).to_numpy(), [line[k] for k in ("value", "sd", "low", "high")]
            )
    assert ours.notna().sum().sum() == theirs[["value", "sd", "low", "high"]].notna().sum().sum()


def test_differences_and_ranks_are_those_of_paired_differences(tmp_path):
    board = board_of(tmp_path, benchmark(ERRORS))
    scored = [row.group.scored for row in board.rows]
    for i, row in enumerate(scored):
        for j, other in enumerate(scored):
            found = difference(row, other)
            assert (board.low[i, j], board.high[i, j]) == pytest.approx((found.low, found.high), abs=1e-12)
        better = sum(difference(other, row).verdict == "better" and k != i for k, other in enumerate(scored))
        assert abs(board.rows[i].rank - 1 - better) <= 1  # an interval that all but touches zero may fall either way
    ranks = [row.rank for row in board.rows]
    assert ranks[:2] == [1, 1]  # the same model in two backends
    assert ranks == sorted(ranks)


def test_other_images_are_not_compared(tmp_path):
    cells = [a_cell(variant="ridge", data="somebody's", data_hash=letter * 64) for letter in "de"]
    board = board_of(tmp_path, [a_record(cell) for cell in cells])
    assert np.isnan(board.low[0, 1])
    assert [row.rank for row in board.rows] == [1, 1]


def test_learning_curves_and_raw_labels_are_not_ranked(tmp_path):
    few = a_cell(variant="ridge", settings=Settings(originals=25))
    records = [a_record(), a_record(few, error=3.0), a_record(a_cell(variant="gp", settings=RAW), error=2.0)]
    board = board_of(tmp_path, records)
    assert {row.first.cell.row: row.rank for row in board.rows} == {
        "ridge": 1,
        "ridge (25 originals)": None,
        "gp": None,
    }


LATER = {"started": "2026-03-01T00:00:00+00:00", "source": "b" * 64}
ELSEWHERE = msgspec.structs.replace(ENVIRONMENT, processor="Slide rule")


def test_of_a_model_the_row_of_the_newest_code_is_shown_and_tells_those_before(tmp_path):
    records = [a_record(), a_record(error=0.9, **LATER), a_record(environment=ELSEWHERE)]
    again = LATER | {"environment": ELSEWHERE, "started": "2026-02-01T00:00:00+00:00"}
    board = board_of(tmp_path, [*records, a_record(error=1.1, **again)])
    # That the newest code made it elsewhere before does not make that row an older one.
    shown = {row.first.environment.processor: row for row in board.rows}
    assert {row.first.source for row in board.rows} == {"b" * 64}
    assert set(shown) == {ENVIRONMENT.processor, "Slide rule"}
    assert board.csv.count("\n") == 3
    gave_way = {name: [group.first for group, _ in row.before] for name, row in shown.items()}
    assert {(name, one.source) for name, of in gave_way.items() for one in of} == {(ENVIRONMENT.processor, "")}
    assert len(gave_way[ENVIRONMENT.processor]) == 2  # here and elsewhere
    lines = {id(record): number for number, record in enumerate(board.records, 1)}
    told = details.before(shown[ENVIRONMENT.processor], lines)
    assert sorted(line["lines"] for line in told) == ["1", "3"]
    assert ["other code" in line["other"] for line in told] == [True, True]
    assert sorted("Slide rule" in line["other"] for line in told) == [False, True]


@pytest.mark.parametrize(("data", "rows"), [("elasticity", 1), ("somebody's", 2)])
def test_a_suite_s_own_data_count_as_they_are_now_and_others_of_one_name_may_be_two(tmp_path, data, rows):
    cells = [a_cell(data=data, data_hash=letter * 64, split_hash=letter * 64) for letter in "de"]
    board = board_of(tmp_path, [a_record(cells[0]), a_record(cells[1], **LATER)])
    assert len(board.rows) == rows
    if rows == 1:
        assert board.rows[0].first.cell == cells[1]
        (told,) = details.before(board.rows[0], {id(record): 1 for record in board.records})
        assert told["other"].startswith("other data, other code")


def test_a_row_gives_way_to_what_counts_not_to_what_gave_way_itself(tmp_path):
    """Here it was made by one version and then by another; elsewhere later, by the code of today."""
    other = ENVIRONMENT.versions | {"scikit-learn": "0.1"}
    records = [
        a_record(environment=msgspec.structs.replace(ENVIRONMENT, versions=other)),
        a_record(error=0.9, started="2026-02-01T00:00:00+00:00"),
        a_record(error=1.1, environment=ELSEWHERE, **LATER),
    ]
    (row,) = board_of(tmp_path, records).rows
    assert row.first.environment.processor == "Slide rule"
    assert [group.first.started[:7] for group, _ in row.before] == ["2026-02", "2026-01"]


def badges_of(tmp_path, record, latency=None):
    store = Store(tmp_path, "elasticity")
    store.append(record)
    store.append(latency or a_latency(record))
    (row,) = read(tmp_path, "elasticity").rows
    return {badge.key: badge.words for badge in row.badges}


def test_badges_of_code_and_commit(tmp_path):
    dirty = msgspec.structs.replace(ENVIRONMENT, commit="0123456789abcdef+dirty")
    assert badges_of(tmp_path, a_record(environment=dirty)) == {"stale": "stale code", "dirty": "dirty commit"}


def test_a_column_that_says_nothing_is_not_shown_at_first(tmp_path):
    """Of targets in unlike units there is no RMSE: its column was empty."""

    def at_first(folder, record):
        return {column.name for column in board_of(folder, [record]).columns if column.at_first}

    assert at_first(tmp_path / "a", a_record()) - at_first(tmp_path / "b", in_unlike_units(a_record())) == {
        "rmse_{unit}"
    }


def test_a_smoke_run_is_told_from_one_that_counts(tmp_path):
    """Both stand in one table, under one name."""
    assert badges_of(tmp_path / "a", a_record(a_cell(profile="smoke")))["smoke"] == "smoke"
    assert "smoke" not in badges_of(tmp_path / "b", a_record())


@pytest.mark.parametrize(
    ("by", "words"),
    [(0.0, {"reproduced": "reproduced"}), (50.0, {"not-reproduced": "not reproduced", "stale": "stale code"})],
)
def test_badges_of_what_the_code_of_today_made_again(tmp_path, by, words):
    today = LATER | {"source": source("classical", "elasticity")}
    (tmp_path / "reproduced").mkdir()
    Store(tmp_path / "reproduced", "elasticity").append(moved(a_record(), by, environment=ELSEWHERE, **today))
    assert badges_of(tmp_path, a_record()) == words
    (badge,) = (one for one in read(tmp_path, "elasticity").rows[0].badges if "reproduced" in one.key)
    assert badge.sentence.startswith("every seed was run again by commit 0123456789ab on Slide rule, and ")


def test_badges_of_a_network(tmp_path):
    (record,) = [one for one in benchmark({"vgg16-head-only": 1.0}, ("keras",), (0,)) if one.cell.variant != "mean"]
    unsteady = msgspec.structs.replace(a_latency(record), latency=Latency((a_timing(unsteady="it was busy"),)))
    assert badges_of(tmp_path / "a", record, unsteady) == {
        "random": "random weights",
        "unsteady": "unsteady latency",
        "stale": "stale code",
        "determinism": "unknown determinism",
    }
    told = msgspec.structs.replace(record, framework={"deterministic": "True"})
    assert "determinism" not in badges_of(tmp_path / "b", told)
    told = msgspec.structs.replace(record, framework={"deterministic": "False"})
    assert badges_of(tmp_path / "c", told)["determinism"] == "not deterministic"


def test_what_a_row_is_called_already_and_what_is_good_news_is_said_below_the_table_alone(tmp_path):
    (record,) = [one for one in benchmark({"vgg16-head-only": 1.0}, ("keras",), (0,)) if one.cell.variant != "mean"]
    Store(tmp_path, "elasticity").append(record)
    build.write(tmp_path, ["elasticity"], tmp_path / "site", quiet)
    table, below = (tmp_path / "site/elasticity/index.html").read_text().split("</table>")[:2]
    assert "stale code</span>" in table
    assert "random weights</span>" not in table
    assert "random weights</span> 1 of 1 rows: its backbone" in below


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in "abc":
        (tmp_path / name / "records").mkdir(parents=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(), {}),
        (Settings(averaged=16, device="cuda"), {"averaged": "16", "device": "cuda"}),
        (Settings(originals=25, init="native"), {"originals": "25", "init": "native"}),
        (RAW, {"target_scaling": "none"}),
    ],
)
def test_the_command_is_one_that_bench_understands(tmp_path, settings, told):
    records = benchmark({"tuned": 1.0}, ("keras",), (0, 1), settings)
    row = next(row for row in board_of(tmp_path, records).rows if row.first.cell.variant == "tuned")
    checkout, line = details.command(row, contrast100, own_data=False)
    assert checkout == "git checkout 0123456789ab"
    words = shlex.split(line)
    assert words[:2] == ["bench", "run"]
    options = parse("run", RunOptions, words[2:])
    said = {"variant": "tuned", "backend": "keras", "seeds": "0,1", "search": "grid", "profile": "standard"} | told
    assert {name: str(getattr(options, name)) for name in said} == said
    assert options.own.get("unit", "") == settings.unit


def test_data_of_ones_own_take_the_options_that_they_were_read_with(tmp_path):
    """Which these were no record has: its targets and classes are called as files may be, not as columns are."""
    (row,) = board_of(tmp_path, [a_record(a_cell(data="steel"))]).rows
    for suite, said in ((own, "steel, and the data options that you gave it"), (contrast100, "steel")):
        words = shlex.split(details.command(row, suite, own_data=True)[-1])
        assert f"data=<your folder {said}>" in words
    assert "data=" not in details.command(row, own, own_data=False)[-1]


def test_worst_images_and_kinds_are_those_of_the_data(tmp_path):
    shipped = Examples(contrast100, tmp_path / "images")
    dataset = contrast100.load(None, {})
    split = contrast100.split(dataset)
    cell = a_cell(data_hash=dataset.fingerprint(), split_hash=split.fingerprint())
    predictions = dataset.targets[split.test] + 1.0
    predictions[7] += 50
    of = [index for index, row in enumerate(split.test) if dataset.kinds[row] == "disks"]
    predictions[of] += 5
    held_out = held_out_of(dataset, split, predictions)
    record = a_record(cell, held_out=held_out, test=held_out.accuracy())
    (row,) = board_of(tmp_path, [record]).rows
    worst = details.worst(row, shipped)
    assert worst[0]["place"] == 7
    assert worst[0]["picture"] == f"{split.test[7]}.webp"
    shown = np.asarray(Image.open(tmp_path / "images" / worst[0]["picture"]).convert("L")) / 255
    np.testing.assert_allclose(shown, dataset.images[split.test[7], :, :, 0], atol=1e-6)
    kinds = {line["kind"]: float(line["rmse"]) for line in details.errors_of_kinds(row, shipped)}
    assert len(kinds) == 5
    assert kinds["disks"] > 5
    assert not details.worst(board_of(tmp_path / "a", [a_record()]).rows[0], shipped)  # of other images


def test_a_row_without_a_result_and_one_of_few_images_have_pages(tmp_path):
    store = Store(tmp_path, "elasticity")
    store.append(a_failure())
    fill(store, [with_images(a_record(a_cell(variant="gp")), 4)])
    front = build.write(tmp_path, ["elasticity"], tmp_path / "site", quiet)
    pages = list((front.parent / "elasticity").glob("*.html"))
    assert len(pages) == 3
    texts = [page.read_text() for page in pages]
    assert any("the moon was full" in text for text in texts)
    assert not any(re.search(r">\s*nan\b|\bnan\s*<", text, re.IGNORECASE) for text in texts)


def test_of_a_large_test_a_part_is_drawn_and_the_worst(tmp_path):
    record = a_record(a_cell(variant="baseline"))
    truth = np.random.default_rng(0).normal(100, 10, (1203, 2))
    record = with_held_out(
        record, ids=tuple(map(str, range(1203))), truth=as_rows(truth), predictions=as_rows(truth + 1)
    )
    far = msgspec.structs.replace(with_images(record, 300).held_out, test="far")
    record = msgspec.structs.replace(record, others={"far": Examined(far, far.accuracy(), {})})
    (row,) = board_of(tmp_path, [record]).rows
    drawn = details.predictions(row, [7, 1202])
    assert (drawn["test"]["points"], drawn["far"]["points"]) == ([5, [7, 1202]], [1, []])
    places = sorted({*range(0, 1203, 5), 7, 1202})
    low, high, text = drawn["test"]["columns"][1]
    assert len(text) == 2 * len(places)
    assert (low, high) == pytest.approx((truth[places, 1].min() + 1, truth[places, 1].max() + 1), rel=1e-5)


def test_each_test_of_several_is_shown(tmp_path):
    cell = a_cell(variant="baseline")
    far = msgspec.structs.replace(a_record(cell, error=5.0).held_out, test="far")
    record = a_record(cell, others={"far": Examined(far, far.accuracy(), {})})
    board = board_of(tmp_path, [record])
    assert [test["name"] for test in details.tests(board.rows[0])] == ["test", "far"]
    front = build.write(tmp_path, ["elasticity"], tmp_path / "site", quiet)
    assert "Each named test" in (front.parent / "elasticity" / "index.html").read_text()


def test_a_site_of_one_suite_explains_its_columns_where_its_page_says(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    front = build.write(tmp_path, ["elasticity"], tmp_path / "site", quiet)
    assert 'href="../columns.html#elasticity"' in (front.parent / "elasticity" / "index.html").read_text()
    assert '<h2 id="elasticity">' in (front.parent / "columns.html").read_text()


def test_two_reasons_of_one_kind_are_both_explained(tmp_path):
    unknown, dirty = (msgspec.structs.replace(ENVIRONMENT, commit=commit) for commit in ("", "f" * 40 + "+dirty"))
    store = Store(tmp_path, "elasticity")
    store.append(a_record(a_cell(variant="ridge"), environment=unknown))
    store.append(a_record(a_cell(variant="gp"), environment=dirty))
    front = build.write(tmp_path, ["elasticity"], tmp_path / "site", quiet)
    page = (front.parent / "elasticity" / "index.html").read_text()
    assert "it was not run from a checkout" in page
    assert "the checkout that ran it had changes that are not in the commit" in page


def test_a_model_of_one_s_own_is_made_again_from_its_file(tmp_path):
    board = board_of(tmp_path, [a_record(a_cell(variant="wide"))])
    (*_, line) = details.command(board.rows[0], board.suite, own_data=False)
    assert "'variant=<your file of wide>'" in line


def test_what_is_out_of_date_is_deleted_and_what_is_anothers_stays(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    out = tmp_path / "site"
    build.write(tmp_path, ["elasticity"], out, quiet)
    pages = set((out / "elasticity").glob("baseline-*.html"))
    assert len(pages) == 2
    (out / "CNAME").write_text("bench.example")
    trainings = tmp_path / "records" / "elasticity" / "trainings.jsonl"
    lines = trainings.read_text().splitlines(keepends=True)
    trainings.write_text("".join(line for line in lines if '"backend":"keras"' not in line))
    build.write(tmp_path, ["elasticity"], out, quiet)
    left = set((out / "elasticity").glob("baseline-*.html"))
    assert left < pages
    assert len(left) == 1
    assert (out / "CNAME").exists()


def test_a_site_of_somebody_else_is_not_overwritten(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record()])
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("<h1>My cat</h1>")
    with pytest.raises(BenchError, match="did not write"):
        build.write(tmp_path, ["elasticity"], out, quiet)
    assert (out / "index.html").read_text() == "<h1>My cat</h1>"


def test_files_that_no_build_has_left_are_neither_deleted_nor_overwritten(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record()])
    out = tmp_path / "site"
    out.mkdir()
    (out / "files.txt").write_text("thesis.txt\ncafé\n", encoding="utf-8")
    (out / "thesis.txt").write_text("three years")
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(BenchError, match=r"holds 'files\.txt', and no index\.html of `bench site`"):
        build.write(tmp_path, ["elasticity"], out, quiet)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_only_files_inside_are_deleted_whatever_the_list_says(tmp_path):
    fill(Store(tmp_path, "elasticity"), [a_record()])
    out = tmp_path / "site"
    build.write(tmp_path, ["elasticity"], out, quiet)
    (tmp_path / "outside.txt").write_text("mine")
    (out / "stale.html").write_text("old")
    with (out / "files.txt").open("a", encoding="utf-8") as listed:
        listed.write("\nstale.html\n../outside.txt\nelasticity\n\n")
    build.write(tmp_path, ["elasticity"], out, quiet)
    assert (tmp_path / "outside.txt").exists()
    assert not (out / "stale.html").exists()
    assert (out / "elasticity" / "index.html").exists()


def test_the_same_records_make_the_same_site(tmp_path):
    fill(Store(tmp_path, "elasticity"), benchmark({"baseline": 1.0}))
    sites = [build.write(tmp_path, ["elasticity"], tmp_path / name, quiet).parent for name in ("one", "two")]
    one, two = ({path.relative_to(site): path.read_bytes() for path in site.rglob("*.html")} for site in sites)
    assert one == two


def test_links_to_records_and_models_only_where_they_lie_beside(tmp_path):
    record = a_record()
    fill(Store(tmp_path, "elasticity"), [record])
    models = tmp_path / "models" / "elasticity"
    models.mkdir(parents=True)
    (models / record.onnx.file).write_bytes(b"")
    inside, outside = tmp_path / "site", tmp_path.parent / f"{tmp_path.name}-site"
    for out in (inside, outside):
        build.write(tmp_path, ["elasticity"], out, quiet)
    (page,) = (inside / "elasticity").glob("ridge-*.html")
    assert f'href="../../models/elasticity/{record.onnx.file}"' in page.read_text()
    assert 'href="../../records/elasticity/trainings.jsonl"' in page.read_text()
    (page,) = (outside / "elasticity").glob("ridge-*.html")
    assert "trainings.jsonl" in page.read_text()
    assert "../../" not in page.read_text()


@pytest.mark.parametrize("commit", ["main; touch here", "--orphan", "0123456789ab", "é" * 40])
def test_no_command_quotes_a_commit_that_is_none(tmp_path, commit):
    strange = msgspec.structs.replace(ENVIRONMENT, commit=commit)
    row = board_of(tmp_path, [msgspec.structs.replace(a_record(), environment=strange)]).rows[0]
    (line,) = details.command(row, contrast100, own_data=False)
    assert line.startswith("bench run")


def test_the_command_says_what_is_lacking(tmp_path, capsys):
    assert cli.main(["site", f"results={tmp_path}"]) == 2
    assert "no records of" in capsys.readouterr().err
    fill(Store(tmp_path, "elasticity"), [a_record()])
    assert cli.main(["site", f"results={tmp_path}", "suite=shift"]) == 2
    assert "no records of shift" in capsys.readouterr().err
    (tmp_path / "a-file").write_text("")
    assert cli.main(["site", f"results={tmp_path}", f"out={tmp_path / 'a-file'}"]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert cli.main(["site", f"results={tmp_path}"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'site' / 'index.html'}\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "lacks the columns allowed"),
        (b"a,b\n1,2\n1,2,3\n", "cannot be read as a CSV: "),
        (b"a,b\n1,\xff\n", "cannot be read as a CSV: "),
        (b"", "cannot be read as a CSV: "),
    ],
)
def test_a_broken_parity_csv_is_refused(tmp_path, content, said):
    fill(Store(tmp_path, "elasticity"), [a_record()])
    (tmp_path / "parity.csv").write_bytes(content)
    with pytest.raises(BenchError, match=rf"parity\.csv: {said}"):
        build.write(tmp_path, ["elasticity"], tmp_path / "site", quiet)


def test_images_keep_their_shape():
    """A picture with a width and a height of its own would show what is not square as if it were."""
    style = (Path(build.__file__).parent / "static" / "site.css").read_text(encoding="utf-8")
    (of_images,) = re.findall(r"\.worst img \{(.*?)\}", style)
    assert "width: 128px; height: auto;" in of_images
