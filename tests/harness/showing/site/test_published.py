"""The site of all published records: small enough, whole, and open to everybody."""

import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from harness import registry
from harness.showing.site import build

pytestmark = pytest.mark.slow

PUBLISHED = Path(__file__).parents[4] / "results"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    results = tmp_path_factory.mktemp("published")
    shutil.copytree(PUBLISHED / "records", results / "records")
    shutil.copyfile(PUBLISHED / "parity.csv", results / "parity.csv")
    suites = [path.name for path in sorted((PUBLISHED / "records").iterdir())]
    return build.write(results, suites, results / "site", lambda told: None).parent


class Links(HTMLParser):
    """What a page links to or loads, and the names of its parts."""

    def __init__(self, page):
        super().__init__()
        self.found, self.ids = [], set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.found += [told[name] for name in ("href", "src") if name in told]
        if "id" in told:
            assert told["id"] not in self.ids, f"two parts are called {told['id']}"
            self.ids.add(told["id"])


def test_it_is_small(site):
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert size < 4_000_000


def test_every_link_leads_somewhere_here(site):
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert len(pages) > 250
    for page, links in pages.items():
        for link in links.found:
            if link == "data:,":
                continue
            assert "://" not in link, f"{page.name} leads to {link}"
            path, part = urldefrag(link)
            target = (page.parent / unquote(path)).resolve() if path else page
            assert target.is_file(), f"{page.name} leads to {link}, which is not there"
            if part and "=" not in part:
                assert part in pages[target].ids, f"{page.name} leads to {link}, and there is no such part"


def pages(site):
    """Those about all suites, a suite's own, and one row of each that has records: axe takes seconds for each."""
    yield from ("index.html", "columns.html", "parity.html", "shift/index.html")
    for suite in [name for name in registry.with_data() if (site / name).is_dir()]:
        rows = sorted(path.name for path in (site / suite).glob("*-pytorch-*.html"))
        yield f"{suite}/{rows[0]}"


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_are_open_to_everybody(visit, site, width, scheme):
    here = visit(site, width=width, scheme=scheme)
    for path in pages(site):
        page = here.open(path)
        told, passed = here.violations()
        assert (path, told) == (path, [])
        assert passed > 10
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} scrolls sideways"


@pytest.mark.browser
def test_a_leaderboard_with_everything_open_is_open_to_everybody(visit, site):
    here = visit(site, scheme="dark")
    page = here.open("shift/index.html#sort=-rmse_GPa")
    page.click("#chooser summary")
    for box in page.locator("[data-all]").all():
        box.check()
    page.check("#board tbody tr:visible input[name=base] >> nth=2")
    for part in page.locator("details").all():
        part.evaluate("part => { part.open = true; }")
    assert here.violations()[0] == []


@pytest.mark.browser
def test_every_leaderboard_is_saved_as_it_lies_there(visit, site):
    here = visit(site)
    boards = [path.name for path in site.iterdir() if (path / "tests.csv").is_file()]
    assert len(boards) == 8
    for name in boards:
        page = here.open(f"{name}/index.html")
        with page.expect_download() as waiting:
            page.click("#download")
        assert waiting.value.path().read_bytes() == (site / name / f"{name}.csv").read_bytes()


@pytest.mark.browser
def test_worst_images_stand_beside_truth_and_prediction(visit, site):
    here = visit(site)
    name = next(path.name for path in (site / "contrast100").glob("tuned-*.html"))
    page = here.open(f"contrast100/{name}")
    images = page.locator(".worst img")
    assert images.count() == 4
    images.last.scroll_into_view_if_needed()
    assert all(
        images.nth(place).evaluate("image => image.decode().then(() => image.naturalWidth)") == 64 for place in range(4)
    )
    lines = page.locator(".worst table").first.locator("tbody tr")
    assert lines.count() == 9
    assert all(float(text) > 0 for text in lines.first.locator("td").all_inner_texts())
