import html.parser
import io
import math
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BenchError
from harness.judging.cells import InUnits
from harness.judging.leaderboard import compute, leaderboard_file
from harness.judging.store import Store
from harness.showing import report
from harness.showing.digits import last_decimal, rounded
from harness.showing.tables import cell, in_latex, of_leaderboard
from tests.harness.a_benchmark import benchmark, fill
from tests.harness.examples import a_cell, a_failure, a_latency, a_record


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    store = Store(folder, "elasticity")
    fill(store, benchmark({"baseline": 4.0}))
    awkward = a_record(a_cell(variant="a_b", data="50 % of ^ {all} ~ # it", profile="paper"))
    store.append(awkward)
    store.append(a_latency(awkward))
    return folder


@pytest.mark.parametrize(
    ("uncertainty", "last"),
    [
        (0.12, 2),
        (0.34, 2),
        (0.36, 1),
        (0.96, 1),
        (0.0001388, 5),
        (1.5, 1),
        (4, 0),
        (40, -1),
        (12, 0),
        (354, -1),
        (0.354, 2),
    ],
)
def test_digits_end_where_an_uncertainty_does(uncertainty, last):
    assert last_decimal(uncertainty) == last


@given(st.floats(1e-12, 1e12))
def test_an_uncertainty_is_told_to_a_few_hundredths_of_itself_with_no_more_than_two_digits(uncertainty):
    told = round(uncertainty, last_decimal(uncertainty))
    assert told == pytest.approx(uncertainty, rel=0.15)
    assert re.fullmatch(r"\d\.?\d?0*e[+-]\d+", f"{told:.8e}"), told


@pytest.mark.parametrize("uncertainty", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_uncertainty_is_refused(uncertainty):
    with pytest.raises(ValueError, match="positive and finite"):
        last_decimal(uncertainty)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"r2": 0.996918, "r2_sd": 0.000366}, "0.9969 ± 0.0004"),
        ({"r2": 0.996918, "r2_sd": 0.000126}, "0.99692 ± 0.00013"),
        ({"r2": 1234.5, "r2_sd": 57.0}, "1230 ± 60"),
        ({"r2": 0.5, "r2_sd": 0.0, "r2_low": 0.46, "r2_high": 0.55}, "0.50"),  # seeds do not differ
        ({"r2": 0.5, "r2_sd": 1e-9, "r2_low": 0.46, "r2_high": 0.55}, "0.50"),  # but by rounding
        ({"r2": 0.5, "r2_sd": None, "r2_low": 0.496, "r2_high": 0.504}, "0.500"),
        ({"r2": 0.123456}, "0.123"),
        ({"r2": 123456.0}, "123000"),
        ({"r2": 9.2e-08}, "9.20e-08"),
        ({"r2": 8e-10, "r2_low": 5e-10, "r2_high": 1e-9}, "0"),
        ({"r2": -0.0001, "r2_sd": 0.2}, "0.00 ± 0.20"),
        ({"r2": 0.0}, "0"),
        ({"r2": 23620649}, "23,620,649"),
        ({"r2": None}, "–"),
        ({"r2": math.nan}, "–"),
        ({"r2": "none"}, "none"),
    ],
)
def test_a_number_has_the_digits_that_are_known(row, told):
    assert cell(pd.Series(row, dtype=object), "r2") == told


def test_errors_of_targets_that_are_small_numbers_have_a_spread():
    """As of permeabilities in m²."""
    row = pd.Series({"rmse_m²": InUnits(3e-13), "rmse_m²_sd": InUnits(2e-14)}, dtype=object)
    assert [cell(row, name) for name in row.index] == ["3.00e-13 ± 2.0e-14", "2.0e-14"]


def test_ends_of_an_interval_have_the_digits_of_its_width():
    row = pd.Series({"ratio_b1": 1.05861, "ratio_low_b1": 1.0551, "ratio_high_b1": 1.08377}, dtype=object)
    assert [cell(row, name) for name in row.index] == ["1.059", "1.055", "1.084"]


@given(st.floats(-1e6, 1e6), st.integers(-6, 12))
def test_what_is_rounded_reads_back(value, last):
    assert float(rounded(value, last)) == pytest.approx(value, abs=0.51 * 10.0**-last + 1e-12 * abs(value))


def test_heads_have_units_and_numbers_their_spread(results):
    text = of_leaderboard(compute(results, "elasticity"), "markdown", ["variant", "rmse_{unit}", "parameters"])
    heads, rule, first, *_ = text.splitlines()
    assert heads == "| model | RMSE (GPa) | parameters |"
    assert rule == "| --- | ---: | ---: |"
    assert re.fullmatch(r"\| baseline \| [\d.]+ ± [\d.]+ \| [\d,]+ \|", first)
    assert "profile standard" in text
    assert "a_b" not in text  # of another profile: rows that may not stand side by side do not


def test_a_name_as_in_the_csv_is_the_same(results):
    one, other = (
        of_leaderboard(compute(results, "elasticity"), "html", [name]) for name in ("rmse_{unit}", "rmse_GPa")
    )
    assert one == other


def test_what_lacks_seeds_is_told_with_those_that_failed(tmp_path):
    store = Store(tmp_path, "elasticity")
    whole = benchmark({"baseline": 4.0})
    fill(store, [one for one in whole if (one.cell.backend, one.cell.seed) != ("keras", 0)])
    (lost,) = (
        one.cell for one in whole if (one.cell.backend, one.cell.seed, one.cell.variant) == ("keras", 0, "baseline")
    )
    kept = next(one for one in whole if one.cell.backend == "keras" and one.cell.seed == 1)
    store.append(msgspec.structs.replace(a_failure(lost), source=kept.source, environment=kept.environment))
    text = of_leaderboard(compute(tmp_path, "elasticity"), "markdown")
    assert (
        "Fewer seeds, because others failed or were not run: baseline · keras (only 1 2), mean · classical (only 0)."
        in text
    )
    told = pd.read_csv(
        io.StringIO(of_leaderboard(compute(tmp_path, "elasticity"), "csv", ["backend", "status", "seeds"]))
    )
    assert told.set_index("backend").loc["keras", "status"].startswith("1 of 3 failed: ")
    page = report.write(tmp_path, "elasticity", tmp_path / "page", "standard").read_text(encoding="utf-8")
    assert (
        "**Fewer seeds, because others failed or were not run: baseline · keras (only 1 2), mean · classical "
        "(only 0).**" in page
    )


def test_csv_has_the_digits_of_the_file(results):
    whole = pd.read_csv(io.StringIO(of_leaderboard(compute(results, "elasticity"), "csv")))
    part = pd.read_csv(io.StringIO(of_leaderboard(compute(results, "elasticity"), "csv", ["skill", "variant"])))
    assert list(part.columns) == ["skill", "variant"]
    assert whole["skill"].equals(part["skill"])
    assert {"commit", "r2_C11", "ratio_high_b32"} <= set(whole.columns)


def test_what_is_printed_are_lines_of_the_file():
    """P-values and verdicts, too, which are of the family of all rows of the file."""
    published = Path(report.__file__).parents[2] / "results"
    printed = of_leaderboard(compute(published, "contrast100"), "csv").splitlines()
    file = leaderboard_file(published, "contrast100").read_text(encoding="utf-8").splitlines()
    assert 20 < len(printed) < len(file)
    assert set(printed) <= set(file)


def test_a_column_that_there_is_not_names_the_nearest(results):
    with pytest.raises(BenchError, match=r"columns=rmse_gpa: .* did you mean 'rmse_GPa'"):
        of_leaderboard(compute(results, "elasticity"), "latex", ["rmse_gpa"])


def test_without_records_there_is_no_table(tmp_path):
    with pytest.raises(BenchError, match="no finished records of elasticity"):
        of_leaderboard(compute(tmp_path, "elasticity"), "markdown")


def test_latex_is_whole_and_escaped(results):
    text = of_leaderboard(compute(results, "elasticity"), "latex")
    begin, *_, end = [line for line in text.splitlines() if not line.startswith("%")]
    assert begin == r"\begin{tabular}{llrrrrrrr}"
    assert end == r"\end{tabular}"
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4  # the head, baseline in two backends, the mean
    assert all(len(re.findall(r"(?<!\\)&", line)) == 8 for line in rows)
    assert r"R\textsuperscript{2}" in rows[0]
    assert r"95 \% from" in rows[0]
    assert r"$\pm$" in rows[1]


@given(st.text())
def test_no_text_is_a_command_to_latex(text):
    """What is left after taking out what `in_latex` writes holds no character that LaTeX reads as more than itself."""
    plain = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textdegree|textmu|textless|textgreater|textquotedbl)\{\}",
        "",
        in_latex(text),
    )
    plain = re.sub(r"\\textsuperscript\{[23]\}|\$\\pm\$|\A\$-\$|\\[&%$#_{}]", "", plain)
    assert not set("\\&%$#_{}~^") & set(plain)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_takes_it(results, tmp_path):
    table = of_leaderboard(compute(results, "elasticity"), "latex", ["variant", "verdict", "skill", "data", "source"])
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
    document = rf"{head}\begin{{document}}{table}\end{{document}}"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    words = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


class Cells(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_html_is_text_in_cells(tmp_path):
    Store(tmp_path, "elasticity").append(a_record(a_cell(data="a 'b'")))
    text = of_leaderboard(compute(tmp_path, "elasticity"), "html", ["variant", "data", "r2"])
    assert "a &#x27;b&#x27;" in text
    found = Cells()
    found.feed(text)
    assert found.tags.count("td") == found.tags.count("th") == 3
    assert {"ridge", "a 'b'"} <= set(found.texts)
