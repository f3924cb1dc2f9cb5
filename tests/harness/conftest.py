"""What several modules of tests run on."""

import pytest

from suites.microstructure import dataset, folder


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """40 images in a folder in the report's layout; nobody changes it."""
    path = tmp_path_factory.mktemp("data") / "mine"
    folder.write_folder(dataset.make(dataset.Parameters(count=40)), path, "MPa", {})
    return path
