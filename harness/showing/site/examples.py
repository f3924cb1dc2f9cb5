"""Test images of the data that a suite ships, beside what models made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.errors import BenchError
from harness.judging.records import Record
from harness.protocol import Suite


class Examples:
    """The suite's own images, written to `folder` when they are asked for."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        self._dataset = suite.load(None, {})
        self._split = suite.split(self._dataset)
        self._of = self._dataset.fingerprint(), self._split.fingerprint()
        self._folder = folder
        self.name, self.written = self._dataset.name, set[str]()

    def fits(self, record: Record) -> bool:
        """Whether a record is of these images."""
        return record.cell.question == self._of

    def kinds(self, test: str) -> tuple[str, ...]:
        """What each image of a test is like, or of which group it is; empty where the data set does not say."""
        of = self._dataset.kinds or self._dataset.groups
        return tuple(of[row] for row in self._split.tests[test].tolist()) if of else ()

    def picture(self, test: str, place: int) -> str:
        """The file's name of the image at a place in a test."""
        row = int(self._split.tests[test][place])
        path = self._folder / f"{row}.webp"
        if path.name not in self.written:
            self._folder.mkdir(parents=True, exist_ok=True)
            levels = np.rint(255 * self._dataset.images[row]).astype(np.uint8)
            # Few gray levels are kept as they are; noise of a micrograph is not worth its bytes.
            _as_picture(levels).save(path, lossless=len(np.unique(levels)) <= 16, quality=60, method=6)
        self.written.add(path.name)
        return path.name


def _as_picture(levels: NDArray[np.uint8]) -> Image.Image:
    """(height, width, channel) as gray, or as colours where there are three channels; of others the first."""
    return Image.fromarray(levels if levels.shape[2] == 3 else levels[..., 0])


def examples(suite: Suite, folder: Path) -> Examples | None:
    """None for a suite that has no images of its own here."""
    try:
        return Examples(suite, folder)
    except BenchError:
        return None
