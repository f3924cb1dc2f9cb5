"""Test images, and where on them a network looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from harness.judging.maps import Mapped

_MOST_ACROSS = 8


def is_drawn(picture: Path) -> bool:
    """Whether a file of this suffix can be drawn; without one it would be another file that is drawn."""
    return picture.suffix[1:].lower() in Figure().canvas.get_supported_filetypes()


def draw(mapped: Sequence[Mapped], title: str, picture: Path) -> Path:
    """Draw each image above the same with its map on it, to the PNG file `picture`; returns that. Each map is as strong
    as its own brightest pixel: how strong it is beside another's it does not say.
    """
    down = -(-len(mapped) // _MOST_ACROSS)
    across = -(-len(mapped) // down)
    figure = Figure(figsize=(1.55 * across + 0.2, 3.75 * down + 0.5), layout="constrained")
    panels = figure.subplots(2 * down, across, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for number, one in enumerate(mapped):
        line, column = divmod(number, across)
        image, bright = np.array(one.image), np.array(one.map)
        for axes in panels[2 * line : 2 * line + 2, column]:
            axes.imshow(image, "gray")
        if bright.any():
            panels[2 * line + 1, column].imshow(bright, "autumn", alpha=0.8 * bright / bright.max())
        panels[2 * line, column].set_title(f"{one.name}\n{_told(one)}", fontsize=8)
        panels[2 * line + 1, column].set_title(one.target + " (zero)" * (not bright.any()), fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    figure.savefig(picture, dpi=100)
    return picture


def _told(one: Mapped) -> str:
    """What is true, and what is answered."""
    if one.true_class:
        return f"{one.true_class}\nanswer: {one.target} {one.answer:.0%}"
    return f"true {one.truth:.4g} {one.unit}".rstrip() + f"\nanswer {one.answer:.4g} {one.unit}".rstrip()
