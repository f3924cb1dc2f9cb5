"""Where on an image the last convolution of a network looks: its receptive fields (Araujo et al. 2019, "Computing
receptive fields of convolutional neural networks", Distill).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.model import backbones
from harness.model.architecture import Backbone, Conv2D, MaxPool2D, Network, Padding, named_layers


def last_convolution(network: Network) -> str | None:
    """The name of the last layer that convolves, a backbone as a whole; None where none does."""
    found = [name for name, layer in named_layers(network) if isinstance(layer, Conv2D | Backbone)]
    return found[-1] if found else None


def centres(network: Network, last: str) -> tuple[float, int]:
    """The pixel of an image that the first pixel of what layer `last` gives is the centre of, the same along both
    edges, and how many pixels lie between one and the next. Of a backbone's, blocks of its stride are taken for it.
    """
    start, stride = 0.0, 1
    for name, layer in named_layers(network):
        match layer:
            case Conv2D(kernel=kernel, padding=padding):
                start += stride * ((kernel - 1) / 2 - _padded(kernel, padding))
            case MaxPool2D(size):
                start, stride = start + stride * (size - 1) / 2, stride * size
            case Backbone():
                start, stride = start + stride * (backbones.SHRINKS - 1) / 2, stride * backbones.SHRINKS
            case _:
                pass
        if name == last:
            break
    return start, stride


def _padded(kernel: int, padding: Padding) -> int:
    """Pixels that are put before an edge: of an even kernel, one more is put behind the opposite one."""
    return 0 if padding == "valid" else (kernel - 1) // 2


def onto_image(maps: NDArray[np.float64], begin: float, stride: int, height: int, width: int) -> NDArray[np.float64]:
    """Maps (n, h, w), whose pixels are centred as `centres` says, on the pixels of an image: (n, height, width), linear
    between centres, and zero from a stride beyond the outermost on. Stretched over the whole image, as is usual, a
    bright pixel would stand beside what it has seen, towards the edge.
    """

    def tents(count: int, pixels: int) -> NDArray[np.float64]:
        away = np.arange(pixels) - (begin + stride * np.arange(count))[:, None]
        return np.maximum(1 - np.abs(away) / stride, 0)

    down, across = tents(maps.shape[1], height), tents(maps.shape[2], width)
    found: NDArray[np.float64] = np.einsum("hi,nhw,wj->nij", down, maps, across)
    return found
