"""What the solver's samples a pixel cost: how far labels of shipped data are from those of finer ones.

`python -m suites.microstructure.discretisation` prints it of the suites of elastic constants, in some eight minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from suites.microstructure.dataset import Parameters, make


class LabelErrors(NamedTuple):
    """By how much constants differ from finer ones: root mean square in GPa, which share that is of the labels' own
    standard deviation, and the mean and the largest of errors as shares of the finer constants.
    """

    rms: float
    of_deviation: float
    mean: float
    largest: float


def label_errors(parameters: Parameters, count: int = 50, samples: int = 8) -> LabelErrors:
    """Of the first so many images, held against so many solver samples along each edge of a pixel."""
    coarse, fine = (
        make(msgspec.structs.replace(parameters, count=count, samples=each)).targets
        for each in (parameters.samples, samples)
    )
    errors, shares = coarse - fine, np.abs(coarse / fine - 1)
    rms = float(np.sqrt((errors**2).mean()))
    spread = float(np.sqrt(fine.var(axis=0).mean()))
    return LabelErrors(rms, rms / spread, float(shares.mean()), float(shares.max()))


if __name__ == "__main__":
    from suites import representations
    from suites.microstructure.dataset import SHIPPED

    for name, parameters in {**SHIPPED, "representations": representations.PARAMETERS}.items():
        found = label_errors(parameters)
        share = f"{found.of_deviation:.1%} of the labels' deviation"
        print(
            f"{name}: rms {found.rms:.2g} GPa, {share}; mean {found.mean:.1%}, largest {found.largest:.0%}", flush=True
        )
