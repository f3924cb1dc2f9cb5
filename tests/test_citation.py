"""CITATION.cff: what it must have by its format, 1.2.0, and that it is of this version."""

import re
from pathlib import Path

import harness

HOUSE = Path(__file__).parent.parent


def test_it_cites_this_version():
    text = (HOUSE / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^([a-z-]+): *(.*)$", text, re.M))
    assert {"cff-version", "message", "title", "authors"} <= fields.keys()
    assert fields["cff-version"] == "1.2.0"
    assert fields["version"] == harness.__version__
    assert fields["type"] == "software"
    assert f'license = "{fields["license"]}"' in (HOUSE / "pyproject.toml").read_text(encoding="utf-8")
