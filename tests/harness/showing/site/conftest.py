import os
import shutil
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser():
    """A browser of the system, driven by Playwright. Without one tests are skipped, or fail where one is required."""
    lacking = ""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking = "playwright is not installed (extra '.[dev]')"
    if path is None:
        lacking = f"no browser: none of {', '.join(BROWSERS)} is on the path (Debian: apt-get install chromium)"
    if lacking:
        if os.environ.get("CIJBENCH_BROWSER") == "required":
            pytest.fail(lacking)
        pytest.skip(lacking)
    with sync_playwright() as driver:
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = driver.chromium.launch(executable_path=path, args=as_root)
        yield started
        started.close()


class Visit:
    """A page in a browser that notes what it must not do: ask for anything but files here, or complain."""

    def __init__(self, browser, root, width=1280, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.root, self.wrong = Path(root), []
        here = self.root.parent.as_uri()
        self.page.on("console", lambda told: told.type in ("error", "warning") and self.wrong.append(told.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self.wrong.append(f"not there: {request.url}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on(
            "request",
            lambda request: (
                request.url.startswith((here, "data:", "blob:")) or self.wrong.append(f"asked for {request.url}")
            ),
        )

    def open(self, path):
        self.page.goto("about:blank")  # another hash alone would not load the page anew
        self.page.goto(f"{self.root.as_uri()}/{path}")
        return self.page

    def shown(self):
        """Names and backends of the rows that are shown, in their order."""
        script = "rows => rows.filter(row => row.checkVisibility()).map(row => row.id)"
        return self.page.locator("#board tbody tr[id]").evaluate_all(script)

    def violations(self):
        """What axe-core finds of the page as it is, and how many of its rules passed."""
        self.page.evaluate((Path(__file__).parent / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({ preload: false })")  # nor may it ask for files
        told = [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]
        return told, len(found["passes"])


@pytest.fixture
def visit(browser):
    """Opens a site at a width and in a scheme; at the end nothing may have gone wrong."""
    visits = []

    def opened(root, **how):
        visits.append(Visit(browser, root, **how))
        return visits[-1]

    yield opened
    for one in visits:
        one.context.close()
    assert [told for one in visits for told in one.wrong] == []
