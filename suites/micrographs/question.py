"""The question of a specimen's modulus from a patch of its micrograph: what suites leakage and shift share."""

from __future__ import annotations

from pathlib import Path

from harness.errors import BenchError
from harness.model.variants import Encoding
from harness.protocol import Dataset, Decoder, Encoder, Facts, Images, Targets
from harness.text import nearest
from suites.micrographs.encodings import Both, GrayStatistics, Normalised, Segmented
from suites.microstructure.encodings import VolumeFraction
from suites.microstructure.statistics import CUBIC, Descriptors, plain


def refuse_folder(folder: Path | None) -> None:
    """Raise BenchError for a user's own data."""
    if folder is not None:
        raise BenchError(f"data={folder}: this suite has data of its own alone; give yours with suite=own")


def encoder(encoding: Encoding, dataset: Dataset) -> Encoder:
    """See `Suite.encoder`."""
    components, reach = (int(encoding.parameters.get(name, 0)) for name in ("components", "reach"))
    two_point = Descriptors(plain(components), components, reach)
    known: dict[str, Encoder] = {
        "gray-statistics": GrayStatistics(),
        "normalised": Normalised(),
        "two-point": two_point,
        "segmented": Segmented(),
        "segmented-volume-fraction": Segmented(VolumeFraction()),
        "segmented-cubic": Segmented(Descriptors(CUBIC)),
        "segmented-two-point": Segmented(two_point),
        "everything": Both(GrayStatistics(), Segmented(two_point)),
    }
    if encoding.name not in known:
        raise BenchError(f"unknown encoding '{encoding.name}'{nearest(encoding.name, known)}")
    return known[encoding.name]


def decoder(decoding: Encoding, dataset: Dataset) -> Decoder:
    """See `Suite.decoder`: there is none."""
    raise BenchError(f"unknown decoding '{decoding.name}': this suite has none")


def measure(predictions: Targets, truth: Targets, images: Images, facts: Facts) -> dict[str, float]:
    """See `Suite.measure`: the harness's figures say it all."""
    return {}
