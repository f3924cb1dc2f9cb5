import pytest

from harness import registry
from harness.showing.profiles import most_epochs


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        ("elasticity", "at most 100 epochs, 10 per trial of a search, 4 of fine-tuning"),
        ("phases", "at most 45 epochs, 1 of fine-tuning"),
        ("representations", "at most 30 epochs"),
    ],
)
def test_epochs_are_told_of_what_the_suite_has(suite, told):
    found = registry.suite(suite)
    assert most_epochs(found, found.PROFILES["standard"]) == told
