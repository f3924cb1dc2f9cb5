"""Links of the documents lead to files and headings that there are, and ARCHITECTURE.md names every module."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "results" / "README.md"]


def broken(document):
    """The relative links of a Markdown file that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        place, _, heading = link.partition("#")
        target = document.parent / place if place else document
        if link.startswith("https://"):
            continue
        if not target.exists() or (heading and target.suffix == ".md" and heading not in anchors(target)):
            yield link


def anchors(document):
    """Its headings as GitHub names them in an address."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    assert list(broken(document)) == []


def test_a_broken_link_would_be_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `page`, of two words\n[fine](#a-page-of-two-words) [no](#a-page) [file](gone.md)\n")
    assert list(broken(page)) == ["#a-page", "gone.md"]


def test_the_house_has_every_module_in_its_place_and_none_that_is_gone():
    house = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## The house")[2].split("```")[1]
    told, folders = set(), []
    for indent, name in re.findall(r"^( *)([\w/]+(?:\.py)?)(?= |$)", house, re.MULTILINE):
        folders[len(indent) // 2 :] = [name.rstrip("/")]
        told |= {"/".join(folders)} if name.endswith(".py") else set()
    modules = {path for top in ("harness", "backends", "suites") for path in (ROOT / top).rglob("*.py")}
    assert told == {path.relative_to(ROOT).as_posix() for path in modules if path.name != "__init__.py"}
