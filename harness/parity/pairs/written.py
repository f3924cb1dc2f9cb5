"""A mapping as a table, on the terminal and in a CSV, and as a converter that stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from harness.disk import write_whole
from harness.foreign import Array, Step
from harness.parity.pairs.contents import Found
from harness.parity.pairs.paired import Line, Paired, behind_flattening
from harness.text import harmless


def table(paired: Paired, labels: Sequence[str]) -> str:
    """The layers of both models beside each other, and how each pair was found; then what is worth knowing."""
    rows = [
        (each.ours.name or _ROOT, each.theirs.name or _ROOT, each.ours.kind, each.how + behind_flattening(each.theirs))
        for each in paired.matched
    ]
    fused = dict.fromkeys(line.name.rpartition("/")[0] for line in paired.lines)
    matched = {each.ours.name for each in paired.matched}
    for name in fused:
        if name not in matched:
            line = next(line for line in paired.lines if line.name.startswith(f"{name}/"))
            rows.append((name, line.theirs.name.rpartition(".")[0], line.kind, line.how))
    return _aligned([(*labels, "", ""), *rows], paired.remarks)


_ROOT = "(the model)"  # which is one layer, and has no name


def _aligned(rows: Sequence[Sequence[str]], remarks: Iterable[str]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*(f"  {line}" for line in lines), *(f"  note: {remark}" for remark in remarks)])


def located(found: Iterable[Found], remarks: Iterable[str], labels: Sequence[str]) -> str:
    """The arrays of one model beside those of a graph that have their numbers, and how they stand there."""
    return _aligned([(*labels, ""), *((each.name, " ".join(each.where), each.told) for each in found)], remarks)


def write_located(path: Path, found: Iterable[Found], labels: Sequence[str]) -> None:
    """The same as CSV."""
    one, two = labels
    rows = [
        {
            one: harmless(each.name),
            two: harmless(" ".join(each.where)),
            f"{one} shape": _said(each.shape),
            "how": harmless(each.told),
        }
        for each in found
    ]
    write_whole(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def write_csv(path: Path, lines: Iterable[Line], labels: Sequence[str]) -> None:
    """One row per array: its names, shapes, and what is done to each for them to be the same."""
    one, two = labels
    rows = [
        {
            one: harmless(line.ours.name),
            two: harmless(line.theirs.name),
            f"{one} shape": _said(line.ours.shape),
            f"{two} shape": _said(line.theirs.shape),
            f"{one} steps": "; ".join(map(_step, line.ours.steps)),
            f"{two} steps": "; ".join(map(_step, line.theirs.steps)),
            "how": harmless(line.how),
        }
        for line in lines
    ]
    write_whole(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def _said(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _step(step: Step) -> str:
    many = len(step.values) > 8
    values = f"{step.values[0]} to {step.values[-1]}" if many else ", ".join(map(str, step.values))
    return f"{step.op} {values}" + (f" of axis {step.axis}" if step.op == "take" else "")


def write_converter(path: Path, paired: Paired, labels: Sequence[str]) -> None:
    """A Python file that turns the arrays of one model into those of the other, with NumPy alone."""
    rows = "\n".join(f"    ({_array(line.ours)}, {_array(line.theirs)})," for line in paired.lines)
    held = {array.name: (tuple(array.shape), array.constant or 0.0) for array in paired.held}
    roots = sorted(line.theirs.name for line in paired.lines if line.theirs.root)
    text = _CONVERTER.format(one=labels[0], two=labels[1], rows=rows, held=held, roots=roots)
    write_whole(path, text)


def _array(array: Array) -> str:
    steps = [(step.op, tuple(step.values), *([step.axis] if step.op == "take" else [])) for step in array.steps]
    return f"({array.name!r}, {tuple(array.shape)!r}, {steps!r})"


_CONVERTER = '''"""Turns the arrays of a {one} model into those of its {two} twin, and back: NumPy arrays by name.

{two}_arrays = to_{two}({one}_arrays)        {one}_arrays = to_{one}({two}_arrays)

Written by `bench parity converter=`; needs NumPy and nothing else. For torch, `model.state_dict()` has such names:
    model.load_state_dict({{name: torch.from_numpy(array) for name, array in to_torch(arrays).items()}}, strict=False)
For Keras, names are those of layers and of their variables: {{f"{{layer.name}}/{{variable.name}}": variable.numpy()}}.
"""

import numpy as np

# Name and shape in {one}, then in {two}; and the steps from either to what is the same in both.
ARRAYS = [
{rows}
]
HELD = {held}  # arrays of {two} that {one} does not have, as they are held; a second bias is added to the first
ROOTS = {roots}  # arrays of {two} that hold the root of what {one} has


def places(shape, steps):
    """Where in the flat array each number stands after the steps."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    for op, values, *axis in steps:
        index = index.take(values, *axis) if op == "take" else getattr(index, op)(values)
    return index


def convert(arrays, source, target):
    """Arrays by the names of one model, as those of the other; 0 is {one}, 1 is {two}."""
    found = {{}}
    for row in ARRAYS:
        (name, shape, steps), (other, other_shape, other_steps) = row[source], row[target]
        array = np.asarray(arrays[name])
        if array.shape != tuple(shape):
            raise ValueError(f"{{name}} has shape {{array.shape}}, not {{tuple(shape)}}")
        second = name.replace("bias_ih", "bias_hh")
        if source == 1 and second in HELD:
            array = array + np.asarray(arrays[second])
        if {{name, other}} & set(ROOTS):
            array = np.sqrt(array) if target == 1 else array**2
        whole = found.setdefault(other, np.zeros(other_shape, array.dtype))
        whole.reshape(-1)[places(other_shape, other_steps).ravel()] = array.reshape(-1)[places(shape, steps).ravel()]
    if target == 1:
        for name, (shape, number) in HELD.items():
            found[name] = np.full(shape, number, np.float32)
    return found


def to_{two}(arrays):
    """Arrays of {one}, as {two} has them."""
    return convert(arrays, 0, 1)


def to_{one}(arrays):
    """Arrays of {two}, as {one} has them."""
    return convert(arrays, 1, 0)
'''
