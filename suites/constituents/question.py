"""The question of a class from a micrograph of its own: what suites phases and defects share."""

from __future__ import annotations

from harness.errors import BenchError
from harness.model.variants import Encoding
from harness.protocol import Dataset, Decoder, Encoder
from harness.text import nearest
from suites.constituents.encodings import Extremes, Smoothed
from suites.micrographs.encodings import Both, GrayStatistics, Normalised, Segmented
from suites.microstructure.shapes import Shapes
from suites.microstructure.statistics import Descriptors, plain


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    components, reach = (int(encoding.parameters.get(name, 0)) for name in ("components", "reach"))
    shapes, two_point = Segmented(Shapes()), Segmented(Descriptors(plain(components), components, reach))
    known: dict[str, Encoder] = {
        "gray-statistics": GrayStatistics(),
        "normalised": Normalised(),
        "extremes": Extremes(),
        "two-point": Smoothed(two_point),
        "shapes-and-two-point": Smoothed(Both(shapes, two_point)),
    }
    if encoding.name not in known:
        raise BenchError(f"unknown encoding '{encoding.name}'{nearest(encoding.name, known)}")
    return known[encoding.name]


def decoder(decoding: Encoding, dataset: Dataset) -> Decoder:
    """See `Suite.decoder`: there is none."""
    raise BenchError(f"unknown decoding '{decoding.name}': this suite has none")


def unit_factor(unit: str) -> float:
    """One of what has none. Raises BenchError else: classes have no unit."""
    if not unit:
        return 1.0
    raise BenchError(f"unit={unit}: classes have none")
