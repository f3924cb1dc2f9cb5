"""What a reader does, in a browser: a small benchmark whose errors are known, with text of strangers in it."""

import io
import json

import msgspec
import pandas as pd
import pytest

from harness.judging import leaderboard
from harness.judging.blocks import difference
from harness.judging.store import Store
from harness.showing.site import build
from harness.showing.site.rows import read
from tests.harness.a_benchmark import benchmark, fill
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record, with_images

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ERRORS = {"baseline": 4.0, "tuned": 1.0, "vgg16-head-only": 9.0, "vgg16-fine-tuned": 2.0, "resnet50-head-only": 12.0}
HOSTILE = '</script><img src=x onerror=alert(1)><b>"bold"</b> & {{ 7 * 7 }}'
SUITE = "elasticity/index.html"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    store = Store(results, "elasticity")
    fill(store, benchmark(ERRORS))
    store.append(a_failure(a_cell(variant="gp"), reason=HOSTILE))
    fill(
        store, [with_images(a_record(a_cell(variant="ridge", data="few", data_hash="e" * 64, split_hash="6" * 64)), 4)]
    )
    newer = msgspec.structs.replace(ENVIRONMENT, commit="fedcba9876543210+dirty", versions={"numpy": "2.1"})
    later = a_record(a_cell(variant="mean"), error=10.0, environment=newer, started="2026-02-01T00:00:00+00:00")
    fill(store, [msgspec.structs.replace(later, source="b" * 64)])
    build.write(results, ["elasticity"], results / "site", lambda told: None)
    return results


@pytest.fixture(scope="module")
def site(results):
    return results / "site"


@pytest.fixture(scope="module")
def board(results):
    return read(results, "elasticity")


def best_first(board):
    """By skill, of whatever data; rows without one last, otherwise as they stand in the CSV."""
    known = [row for row in board.rows if row.values["skill"] is not None]
    return [
        row.id
        for row in [
            *sorted(known, key=lambda row: -float(f"{row.values['skill']:.6g}")),
            *(row for row in board.rows if row not in known),
        ]
    ]


def test_rows_sort_by_any_column_as_the_csv_has_it(visit, site, board):
    here = visit(site)
    page = here.open(SUITE)
    assert here.shown() == best_first(board)
    table = pd.read_csv(io.StringIO(board.csv)).assign(id=[row.id for row in board.rows])
    for column in ("rmse_GPa", "r2", "parameters"):
        page.click(f"#board th[data-key={column}] button")
        down = page.get_attribute(f"#board th[data-key={column}]", "aria-sort") == "descending"
        assert down == (column == "r2")
        expected = table.sort_values(column, ascending=not down, kind="stable", na_position="last")
        assert here.shown() == expected["id"].tolist()
        page.click(f"#board th[data-key={column}] button")
        expected = table.sort_values(column, ascending=down, kind="stable", na_position="last")
        assert here.shown() == expected["id"].tolist()


def test_headings_sort_by_keyboard(visit, site, board):
    here = visit(site)
    page = here.open(SUITE)
    page.focus("#board th[data-key=backend] button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#board th[data-key=backend]", "aria-sort") == "ascending"
    backends = {row.id: row.first.cell.backend for row in board.rows}
    assert [backends[name] for name in here.shown()] == sorted(backends.values())


def test_filters_hide_rows_and_say_how_many_are_left(visit, site, board):
    here = visit(site)
    page = here.open(SUITE)
    page.select_option("[data-facet=backend]", "keras")
    page.fill("#find", "vgg16")
    wanted = {row.id for row in board.rows if row.first.cell.backend == "keras" and "vgg16" in row.first.cell.row}
    expected = [name for name in best_first(board) if name in wanted]
    assert len(expected) == 2
    assert here.shown() == expected
    assert page.inner_text("#status").startswith(f"2 of {len(board.rows)} rows")
    page.click("#reset")
    assert here.shown() == best_first(board)


def test_the_address_restores_what_was_chosen(visit, site, board):
    here = visit(site)
    page = here.open(SUITE)
    page.select_option("[data-facet=backend]", "pytorch")
    page.click("#chooser summary")
    page.check("[data-column=onnx_kB]")
    page.uncheck("[data-column=r2]")
    page.click("#board th[data-key=onnx_kB] button")
    page.check("#board tbody tr:visible input[name=base] >> nth=0")
    page.select_option("#cost-of", "parameters")
    before, address = here.shown(), page.url
    assert "#" in address
    again = visit(site)
    restored = again.open(address.partition("site/")[2])
    assert again.shown() == before
    assert restored.is_checked(f"tr#{before[0]} input")
    assert restored.is_visible("#board th[data-key=onnx_kB]")
    assert not restored.is_visible("#board th[data-key=r2]")
    assert restored.input_value("#cost-of") == "parameters"
    assert restored.inner_html("#scatter") == page.inner_html("#scatter")
    restored.click("#reset")
    assert "#" not in restored.url
    assert again.shown() == best_first(board)


def test_an_address_of_nonsense_shows_all_rows(visit, site, board):
    here = visit(site)
    here.open(f"{SUITE}#sort=nothing&base=<b>&columns=a,b&backend=cobol")
    assert here.shown() == []  # no row is of that backend, and that is what was asked
    page = here.open(f"{SUITE}#sort=nothing&base=<b>&columns=a,b&cost=happiness")
    assert set(here.shown()) == {row.id for row in board.rows}
    assert page.input_value("#cost-of") == "p50_ms_b1"
    assert page.locator("#scatter svg").count() == 1


def test_a_base_is_chosen_by_keyboard_and_another_after_it(visit, site, board):
    page = visit(site).open(SUITE)
    page.focus(f"tr[id='{board.rows[3].id}'] input")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.closest('tr').id") == board.rows[3].id
    page.keyboard.press("ArrowDown")
    after = page.evaluate("document.activeElement.closest('tr').id")
    assert after != board.rows[3].id
    assert page.locator(f"tr[id='{after}'] input").is_checked()


@pytest.mark.parametrize("base", ["tuned", "mean"])
def test_rows_are_coloured_by_their_paired_difference_to_the_base(visit, site, board, base):
    here = visit(site)
    page = here.open(SUITE)
    chosen = next(row for row in board.rows if row.first.cell.variant == base)
    page.check(f"tr#{chosen.id} input")
    verdicts = {"better": "better", "worse": "worse", "not told apart": "same"}
    found = 0
    for row in board.rows:
        classes = (page.get_attribute(f"tr[id='{row.id}']", "class") or "").split()
        told = set(classes) & {"better", "worse", "same", "base"}
        same_images = row.group.scored and row.first.cell.data_hash == chosen.first.cell.data_hash
        if row.id == chosen.id:
            assert told == {"base"}
        elif same_images:
            expected = difference(row.group.scored, chosen.group.scored)
            assert told == {verdicts[expected.verdict]}
            index = page.locator("#board th").evaluate_all("all => all.findIndex(c => c.dataset.key == 'difference')")
            words = page.locator(f"tr[id='{row.id}'] > *").nth(index).inner_text()
            assert words.startswith(expected.verdict)
            found += 1
        else:
            assert not told
    assert found > 8


def test_the_trivial_predictor_is_a_ruled_line(visit, site):
    page = visit(site).open(SUITE)
    rule = page.locator("tr.rule")
    assert "always answering the mean" in rule.inner_text()
    script = "row => +row.querySelector('.skill').textContent.replace(/[^0-9.-]/g, '') > 0"
    assert page.evaluate(f"({script})(document.querySelector('tr.rule').previousSibling)")
    assert not page.evaluate(f"({script})(document.querySelector('tr.rule').nextSibling)")
    page.click("#board th[data-key=backend] button")
    assert rule.count() == 0


def test_one_button_saves_the_csv_of_the_rows_shown(visit, site, results, board):
    page = visit(site).open(SUITE)
    with page.expect_download() as waiting:
        page.click("#download")
    leaderboard.write(results, "elasticity")
    published = (results / "leaderboards" / "elasticity.csv").read_text().splitlines()
    saved = waiting.value.path().read_text().splitlines()
    assert saved == [line for line in published if line in saved]
    gave_way = sum(len(row.before) for row in board.rows)
    assert (len(saved), gave_way) == (len(published) - 1, 1)
    assert (site / "elasticity" / "elasticity.csv").read_text().splitlines() == saved


def test_a_row_saves_what_it_draws(visit, site, board):
    row = next(row for row in board.rows if row.first.cell.variant == "tuned")
    page = visit(site).open(f"elasticity/{row.id}.html")
    assert page.locator("#parity svg").count() == 2
    assert page.locator("#losses svg").count() == 1
    with page.expect_download() as waiting:
        page.click("#save")
    saved = json.loads(waiting.value.path().read_text())
    held_out = row.group.good[0].held_out
    drawn = saved["tests"]["test"][1]
    span = max(line[1] for line in held_out.truth) - min(line[1] for line in held_out.truth)
    assert drawn["truth"] == pytest.approx([line[1] for line in held_out.truth], abs=span / 4000)
    assert drawn["predicted"] == pytest.approx([line[1] for line in held_out.predictions], abs=span / 2000)
    assert saved["losses"]["training"][0] == pytest.approx(row.group.good[0].history[0].loss, rel=2e-3)


def test_text_of_strangers_is_text(visit, site, board):
    failed = next(row for row in board.rows if not row.group.good)
    here = visit(site)
    page = here.open(f"elasticity/{failed.id}.html")
    assert HOSTILE in page.inner_text("main")
    assert page.locator("main b, main img").count() == 0
    page = here.open(f"{SUITE}#columns=status")
    assert HOSTILE in page.locator(f"tr[id='{failed.id}']").inner_text()
    assert page.locator("#board b, #board img").count() == 0


def test_light_and_dark_follow_the_system_until_one_is_chosen(visit, site):
    def background(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (background(visit(site, scheme=scheme).open("index.html")) for scheme in ("light", "dark"))
    assert light != dark
    here = visit(site)
    page = here.open("index.html")
    page.click("#theme")
    page.click("#theme")
    assert background(page) == dark
    assert background(here.open(SUITE)) == dark


def test_print_leaves_out_what_cannot_be_pressed(visit, site):
    page = visit(site).open(SUITE)
    page.emulate_media(media="print")
    assert not page.is_visible("#tools")
    assert not page.is_visible("header")
    assert page.is_visible("#board")


def test_axe_would_notice(visit, site):
    here = visit(site)
    page = here.open(SUITE)
    told, passed = here.violations()
    assert told == []
    assert passed > 20
    page.evaluate("document.querySelector('#find').closest('label').replaceWith(document.querySelector('#find'))")
    page.evaluate("document.querySelector('#find').placeholder = ''")
    page.evaluate("document.querySelector('.lead').style.color = 'light-dark(#ddd, #333)'")
    told, _ = here.violations()
    assert {line.partition(":")[0] for line in told} == {"label", "color-contrast"}
