"""Numbers that describe a film: what the theory of weakly heterogeneous media says its modulus depends on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.protocol import Arrays, Images, Node, Operators
from suites.films.encodings import WAVES
from suites.microstructure.spectrum import matrices, product, transform, twins

Floats = NDArray[np.float64]

_ORDERS = (0, 4)  # multiples of a wave's direction


class WeakContrast:
    """(n, 9) numbers, standardised over the training images, in which the modulus is linear to second order in how much
    the crystals differ.

    Stiffness varies by c and s alone, cosine and sine of four times the angle. Their area averages give the first
    order. The second sums over all waves of the film the products of two of their amplitudes, times Green's operator of
    the mean medium, which depends on a wave's direction phi alone, by multiples of 2 phi and 4 phi (Kröner 1977, J.
    Mech. Phys. Solids 25, 137; Torquato 2002, Random Heterogeneous Materials, chapter 20). A film that is mirrored or
    turned by a quarter has the same modulus (`symmetries`): that leaves |c|² and |s|² with 1 and cos 4 phi, and Re(c
    s*) with sin 4 phi. These five, <c>, <c>², <c>³ and <s>² make nine. The coefficients are left to be fitted.
    """

    def fit(self, images: Images) -> None:
        """See `Encoder.fit`."""
        self._shape = images.shape[1:3]
        self._of_power = _directions(self._shape)
        numbers = self._numbers(images)
        self._middle, deviations = numbers.mean(axis=0), numbers.std(axis=0)
        self._unit = np.where(deviations > 1e-12, deviations, 1.0)

    def _numbers(self, images: Images) -> Floats:
        rows = []
        for image in images[..., 0]:  # one at a time: all transforms of a data set would be gigabytes
            phase = 2 * np.pi * image.astype(np.float64)
            waves = [np.fft.rfft2(field) / image.size for field in (np.cos(phase), np.sin(phase))]
            (c, s), (mean_c, mean_s) = waves, (wave[0, 0].real for wave in waves)
            powers = [np.abs(c) ** 2, np.abs(s) ** 2, (c * s.conj()).real]
            sums = [power.ravel() @ weights for power, weights in zip(powers, self._of_power, strict=True)]
            rows.append(np.concatenate([[mean_c, mean_c**2, mean_c**3, mean_s**2], *sums]))
        return np.array(rows).reshape(len(images), -1)

    def encode(self, images: Images) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        standardised: NDArray[np.float32] = ((self._numbers(images) - self._middle) / self._unit).astype(np.float32)
        return standardised

    def operators(self) -> Operators:
        """See `Encoder.operators`."""
        sums: list[Node] = []
        for one, other in ("cc", "ss", "cs"):
            name = one + other
            sums += [*product(one, other, name), ("MatMul", (name, f"of_{name}"), f"{name}_sums", {})]
        ends: tuple[Node, ...] = (
            ("ReduceMean", ("cosine", "pixels"), "mean_c", {"keepdims": 0}),
            ("ReduceMean", ("sine", "pixels"), "mean_s", {"keepdims": 0}),
            ("Unsqueeze", ("mean_c", "last"), "c1", {}),
            ("Unsqueeze", ("mean_s", "last"), "s1", {}),
            ("Mul", ("c1", "c1"), "c2", {}),
            ("Mul", ("c2", "c1"), "c3", {}),
            ("Mul", ("s1", "s1"), "s2", {}),
            ("Concat", ("c1", "c2", "c3", "s2", "cc_sums", "ss_sums", "cs_sums"), "numbers", {"axis": 1}),
            ("Sub", ("numbers", "middle"), "deviations", {}),
            ("Div", ("deviations", "unit"), "encoded", {}),
        )
        nodes = (*WAVES, *transform("cosine", "c"), *transform("sine", "s"), *sums, *ends)
        return Operators(nodes, self._arrays())

    def _arrays(self) -> Arrays:
        floats = {
            "turn": np.array(2 * np.pi),
            "middle": self._middle,
            "unit": self._unit,
            **dict(zip(("of_cc", "of_ss", "of_cs"), self._of_power, strict=True)),
        }
        return (
            matrices(self._shape)
            | {name: np.ascontiguousarray(array, np.float32) for name, array in floats.items()}
            | {"pixels": np.array([1, 2, 3], np.int64), "last": np.array([1], np.int64)}
        )


def _directions(shape: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """Weights (waves, m) of each wave of the half spectrum in the sums over |c|², |s|² and Re(c s*).

    Waves without a twin in the half spectrum count once, the others twice; the mean does not count. Of waves that an
    even number of pixels does not tell from their mirror image the direction is not known: they count in no sine.
    """
    height, width = shape
    down, along = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    angle = np.arctan2(down, along)
    twice = np.tile(twins(width), (height, 1))
    twice[0, 0] = 0
    sided = twice.copy()
    if height % 2 == 0:
        sided[height // 2] = 0
    if width % 2 == 0:
        sided[:, -1] = 0
    cosines = np.stack([(twice * np.cos(order * angle)).ravel() for order in _ORDERS], axis=1)
    sines = (sided * np.sin(_ORDERS[-1] * angle)).reshape(-1, 1)
    return cosines, cosines, sines
