"""A trap for who writes Keras by hand, told in docs/frameworks.md: seeded, `fit` shows one order in every epoch."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "seeded", "orders"),
    [("tensorflow", ("seeded",), 1), ("tensorflow", (), 4), ("torch", ("seeded",), 4)],
)
def test_orders_that_fit_shows_in_four_epochs(engine, seeded, orders):
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.keras_order", *seeded],
        env={**os.environ, "KERAS_BACKEND": engine},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert int(done.stdout.split()[-1]) == orders
