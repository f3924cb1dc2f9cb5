"""Data sets of two-phase microstructures and their nine elastic constants: made here, and those that are shipped."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.protocol import Dataset
from suites.microstructure.generators import FAMILIES, generate
from suites.microstructure.homogenization import TARGETS, elastic_constants, homogenize, isotropic_stiffness
from suites.microstructure.materials import Phase, Phases, as_facts

ALUMINIUM = Phase(young=70.0, poisson=0.33)
SILICON_CARBIDE = Phase(young=410.0, poisson=0.19)

_AT_A_TIME = 20  # images between two calls of `on_progress`


class Parameters(msgspec.Struct, frozen=True):
    """All that a data set is made from; the defaults are those of suite elasticity. Phases are (soft, stiff), in GPa.

    `samples` says into how many the solver divides a pixel, each way, and `tolerance` when it has converged.
    """

    count: int = 520
    size: int = 64
    seed: int = 0
    families: tuple[str, ...] = tuple(FAMILIES)
    phases: Phases = (ALUMINIUM, SILICON_CARBIDE)
    samples: int = 1
    tolerance: float = 1e-6


# The same images at phase contrast 6 and 100. There one sample a pixel leaves labels more than 1 % from those of eight,
# and four do not (tests/suites/test_contrast100.py).
SHIPPED = {
    "elasticity": Parameters(),
    "contrast100": Parameters(phases=(ALUMINIUM, Phase(young=7000.0, poisson=0.19)), samples=4),
}


def make(parameters: Parameters, on_progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Generate the images and homogenize them; `on_progress` is called with (images done, images in all).

    Raises BenchError for parameters that make no data set, and NotConverged naming the images.
    """
    masks, families = generate(parameters.families, parameters.count, parameters.size, parameters.seed)
    stiffnesses = np.stack([isotropic_stiffness(phase.young, phase.poisson) for phase in parameters.phases])
    targets = np.empty((len(masks), len(TARGETS)))
    for start in range(0, len(masks), _AT_A_TIME):
        chunk = slice(start, start + _AT_A_TIME)
        fine = masks[chunk].repeat(parameters.samples, axis=1).repeat(parameters.samples, axis=2)
        targets[chunk] = elastic_constants(homogenize(fine, stiffnesses, parameters.tolerance))
        if on_progress:
            on_progress(min(start + _AT_A_TIME, len(masks)), len(masks))
    return _dataset("elasticity", masks, targets, families, parameters.phases)


def _file(name: str) -> Path:
    return Path(str(files("suites.microstructure"))) / "data" / f"{name}.npz"


def load(name: str) -> Dataset:
    """A data set that the package ships: `make(SHIPPED[name])`, made once."""
    with np.load(io.BytesIO(_file(name).read_bytes()), allow_pickle=False) as stored:
        parameters = msgspec.json.decode(stored["parameters"].tobytes(), type=Parameters)
        masks = np.unpackbits(stored["images"], axis=2, count=parameters.size)
        families = tuple(parameters.families[index] for index in stored["families"].tolist())
        return _dataset(name, masks, stored["targets"], families, parameters.phases)


def save(path: Path, dataset: Dataset, parameters: Parameters) -> None:
    """Write `dataset` as `load` reads it: one bit a pixel, no pickle."""
    np.savez_compressed(
        path,
        images=np.packbits(dataset.images[..., 0].astype(np.uint8), axis=2),
        targets=dataset.targets,
        families=np.array([parameters.families.index(family) for family in dataset.kinds], np.uint8),
        parameters=np.frombuffer(msgspec.json.encode(parameters), np.uint8),
    )


def _dataset(
    name: str, masks: NDArray[np.uint8], targets: NDArray[np.float64], families: Sequence[str], phases: Phases
) -> Dataset:
    return Dataset(
        name=name,
        images=masks[..., None].astype(np.float32),
        targets=targets,
        target_names=TARGETS,
        units=("GPa",) * len(TARGETS),
        kinds=tuple(families),
        ids=tuple(str(index) for index in range(len(masks))),
        facts=as_facts(phases),
    )


if __name__ == "__main__":  # python -m suites.microstructure.dataset contrast100: makes that file again
    for suite in sys.argv[1:]:
        save(_file(suite), make(SHIPPED[suite], lambda done, of: print(f"{done} of {of}")), SHIPPED[suite])
