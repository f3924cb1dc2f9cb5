"""The half spectrum of periodic images as ONNX operators: products with its matrices, cheap at such sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.protocol import Arrays, Images, Node


def twins(width: int) -> NDArray[np.float64]:
    """(width // 2 + 1,) how often a column of the half spectrum counts: those without a twin in it once, else twice."""
    counts = np.full(width // 2 + 1, 2.0)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def power(images: Images) -> NDArray[np.float64]:
    """(n, height, width // 2 + 1) squared modulus of each frequency of the half spectrum of images (n, height, width,
    1), as a share of the image.
    """
    pixels = images.shape[1] * images.shape[2]
    found: NDArray[np.float64] = np.abs(np.fft.rfft2(images[..., 0].astype(np.float64)) / pixels) ** 2
    return found


def on_power(kernels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernels (m, height, width) on the autocovariance as a matrix (frequencies, m) on the power of the half spectrum.

    Frequencies without a twin in the half spectrum count once, the others twice; the mean does not count.
    """
    spectrum = np.fft.rfft2(kernels).real * twins(kernels.shape[2])
    spectrum[:, 0, 0] = 0
    matrix: NDArray[np.float64] = spectrum.reshape(len(kernels), -1).T
    return matrix


def transform(field: str, name: str) -> tuple[Node, ...]:
    """From `field` (n, height, width, 1) to `<name>_real` and `<name>_imaginary` (n, height, width // 2 + 1), over the
    number of pixels, by the arrays of `matrices`.
    """
    return (
        ("Squeeze", (field, "channel"), f"{name}_plane", {}),
        ("MatMul", (f"{name}_plane", "along"), f"{name}_waves", {}),
        ("MatMul", ("across", f"{name}_waves"), f"{name}_parts", {}),
        ("Slice", (f"{name}_parts", "start", "height", "rows"), f"{name}_upper", {}),
        ("Slice", (f"{name}_parts", "height", "end", "rows"), f"{name}_lower", {}),
        ("Slice", (f"{name}_upper", "start", "width", "columns"), f"{name}_cos_cos", {}),
        ("Slice", (f"{name}_upper", "width", "end", "columns"), f"{name}_cos_sin", {}),
        ("Slice", (f"{name}_lower", "start", "width", "columns"), f"{name}_sin_cos", {}),
        ("Slice", (f"{name}_lower", "width", "end", "columns"), f"{name}_sin_sin", {}),
        ("Sub", (f"{name}_cos_cos", f"{name}_sin_sin"), f"{name}_real", {}),
        ("Add", (f"{name}_cos_sin", f"{name}_sin_cos"), f"{name}_imaginary", {}),
    )


def product(one: str, other: str, name: str) -> tuple[Node, ...]:
    """`<name>` (n, waves), the real part of one transform times the conjugate of another, or of itself: its power."""
    parts = ("real", "imaginary")
    return (
        *(("Mul", (f"{one}_{part}", f"{other}_{part}"), f"{name}_of_{part}", {}) for part in parts),
        ("Add", tuple(f"{name}_of_{part}" for part in parts), f"{name}_plane", {}),
        ("Flatten", (f"{name}_plane",), name, {}),
    )


def matrices(shape: tuple[int, ...]) -> Arrays:
    """What `transform` names, for images of (height, width)."""
    (height, width), half = shape, shape[1] // 2 + 1
    rows = 2 * np.pi * np.outer(np.arange(height), np.arange(height)) / height
    columns = 2 * np.pi * np.outer(np.arange(width), np.arange(half)) / width
    numbers = {"channel": 3, "rows": 1, "columns": 2, "start": 0, "height": height, "width": half, "end": 2**31}
    return {
        "along": np.concatenate([np.cos(columns), np.sin(columns)], axis=1).astype(np.float32),
        "across": (np.concatenate([np.cos(rows), np.sin(rows)]) / (height * width)).astype(np.float32),
        **{name: np.array([number], np.int64) for name, number in numbers.items()},
    }
