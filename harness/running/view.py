"""A data set as a model meets it: what its encoding makes of images, and its decoding of targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import BenchError, Unavailable
from harness.model.variants import Encoding
from harness.protocol import (
    Dataset,
    Decoder,
    Encoder,
    Images,
    Model,
    Node,
    Operators,
    Rows,
    Split,
    Suite,
    Symmetry,
    Targets,
)
from harness.text import nearest


class View(NamedTuple):
    """`met` is `dataset` with what is encoded in the place of images, and answers in the place of targets. Predictions
    are averaged over `moves`, elements of the symmetry `averaged_over`.
    """

    dataset: Dataset
    met: Dataset
    encoder: Encoder | None = None
    decoder: Decoder | None = None
    symmetries: tuple[Symmetry, ...] = ()
    averaged_over: Symmetry | None = None
    moves: tuple[int, ...] = ()

    @property
    def encoded_before(self) -> bool:
        """Whether an exported model is given what images are encoded to, for its graph cannot encode them."""
        return self.encoder is not None and self.encoder.operators() is None

    def meets(self, images: Images) -> Images:
        """What the model is shown of images."""
        return self.encoder.encode(images) if self.encoder else images

    def answers(self, targets: Targets, images: Images) -> Targets:
        """What the model is to answer."""
        return self.decoder.encode(targets, images) if self.decoder else targets

    def predict(self, model: Model, images: Images) -> Targets:
        """(n, t) the targets that a model predicts for images as they are in the data set."""
        answers: Targets = np.mean([model.predict(self.meets(moved)) for moved in self._as_moved(images)], axis=0)
        return self.decoder.decode(answers, images) if self.decoder else answers

    def _as_moved(self, images: Images) -> Iterator[Images]:
        if not self.averaged_over:
            yield images
            return
        nothing = np.empty((len(images), 0))
        for move in self.moves:
            yield self.averaged_over.move(images, nothing, np.full(len(images), move))[0]

    def averaging(self, answers: int) -> tuple[Operators, Operators] | None:
        """What puts all moves of the images before a graph, one batch after the other, and what averages the
        (n, answers) that come of them; None where nothing is averaged.
        """
        if not self.averaged_over or not self.averaged_over.operators:
            return None
        nodes, arrays = list[Node](), dict[str, NDArray[Any]]()
        for number, move in enumerate(self.moves):
            piece = self.averaged_over.operators(self.dataset.images.shape[1:], move).numbered(number)
            nodes += piece.nodes
            arrays |= piece.arrays
        copies = tuple(f"encoded_{number}" for number in range(len(self.moves)))
        before = Operators((*nodes, ("Concat", copies, "encoded", {"axis": 0})), arrays)
        shape = np.array([len(self.moves), -1, answers], np.int64)
        after = Operators(
            (("Reshape", ("answers", "shape"), "by_move", {}), ("ReduceMean", ("by_move", "first"), "decoded", _FLAT)),
            {"shape": shape, "first": np.array([0], np.int64)},
        )
        return before, after

    def doubled(self, rows: Rows, key: str) -> tuple[Images, Targets]:
        """These rows as the model meets them, and then once more, moved by the first element of the symmetry `key`."""
        images, targets = self.dataset.images[rows], self.dataset.targets[rows]
        moved = self._symmetry(key).move(images, targets, np.ones(len(rows), np.intp))
        images, targets = np.concatenate([images, moved[0]]), np.concatenate([targets, moved[1]])
        return self.meets(images), self.answers(targets, images)

    def _symmetry(self, key: str) -> Symmetry:
        """Raises BenchError for one that the suite has not."""
        named = {symmetry.key: symmetry for symmetry in self.symmetries}
        if key not in named:
            raise BenchError(f"unknown symmetry '{key}'{nearest(key, named)}")
        return named[key]

    def moved(self, rows: Rows, draw: np.random.Generator, by: bool | tuple[str, ...] = True) -> tuple[Images, Targets]:
        """These rows as the model meets them, each image moved by a random element of every exact symmetry, or of those
        that `by` names.
        """
        images, targets = self.dataset.images[rows], self.dataset.targets[rows]
        named = by if isinstance(by, tuple) else tuple(symmetry.key for symmetry in self.symmetries if symmetry.exact)
        for symmetry in [self._symmetry(key) for key in named]:
            elements = draw.integers(symmetry.elements(images.shape[1:]), size=len(rows))
            images, targets = symmetry.move(images, targets, elements)
        return self.meets(images), self.answers(targets, images)


_FLAT = {"keepdims": 0}


def view(
    suite: Suite,
    dataset: Dataset,
    split: Split,
    encoding: Encoding | None,
    decoding: Encoding | None = None,
    averaged: int = 0,
) -> View:
    """How a model with these meets the data set; the encoder learns from the training rows alone.

    Raises BenchError for an encoding that makes of an image what depends on other images: it would leak; and
    Unavailable where predictions are to be averaged and the suite has no symmetry for that.
    """
    encoder = decoder = None
    met = dataset
    if encoding:
        encoder = suite.encoder(encoding, dataset)
        met = msgspec.structs.replace(met, images=_encoded(encoder, encoding.name, dataset, split))
    if decoding:
        decoder = suite.decoder(decoding, dataset)
        met = msgspec.structs.replace(
            met,
            targets=decoder.encode(dataset.targets, dataset.images),
            target_names=decoder.answers,
            units=("",) * len(decoder.answers),
        )
    if not averaged:
        return View(dataset, met, encoder, decoder, suite.SYMMETRIES)
    over = next((symmetry for symmetry in suite.SYMMETRIES if symmetry.operators), None)
    if over is None:
        raise Unavailable("averaged=: this suite has no symmetry to average over")
    count = over.elements(dataset.images.shape[1:])
    moves = np.random.default_rng(_AVERAGED).integers(count, size=averaged)
    return View(dataset, met, encoder, decoder, suite.SYMMETRIES, over, tuple(moves.tolist()))


def _encoded(encoder: Encoder, name: str, dataset: Dataset, split: Split) -> Images:
    encoder.fit(dataset.images[split.train])
    encoded = encoder.encode(dataset.images)
    for row in split.test[:_LOOKED_AT]:
        if not np.allclose(encoder.encode(dataset.images[row : row + 1])[0], encoded[row], rtol=1e-5, atol=1e-6):
            raise BenchError(f"encoding '{name}': what it makes of an image hangs on the others: it leaks")
    return encoded


_LOOKED_AT = 3  # test images that are encoded once more, alone


def changes(view: View, model: Model, rows: Rows) -> dict[str, float]:
    """By how much, root mean square, predictions for these rows change beyond what they should when the images are
    moved by a random element, not the one that moves nothing, of each exact symmetry.
    """
    images = view.dataset.images[rows]
    predictions, draw, found = view.predict(model, images), np.random.default_rng(_MOVES), {}
    for symmetry in filter(lambda symmetry: symmetry.exact, view.symmetries):
        elements = draw.integers(1, symmetry.elements(images.shape[1:]), size=len(rows))
        moved, expected = symmetry.move(images, predictions, elements)
        found[symmetry.key] = float(np.sqrt(np.mean((view.predict(model, moved) - expected) ** 2)))
    return found


_MOVES, _AVERAGED = 4, 6  # keep these streams of random numbers apart from the others


def deviation(found: Targets, expected: Targets, units: Sequence[str]) -> float:
    """The largest |found - expected| of (n, t), as a share of the largest that is expected of the same unit; NaN where
    one of them is.
    """
    of_unit = [np.array(units) == unit for unit in set(units)]
    apart, size = np.abs(found - expected), np.abs(expected)
    return float(np.max([apart[:, of].max() / (size[:, of].max() or 1.0) for of in of_unit]))
