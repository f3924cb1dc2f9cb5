"""A layer of one model that stands for several of the other, as a projection to query, key and value at once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.foreign import Array, Part, Step
from harness.parity.pairs.names import holder_of, last_of, words_of


class Fused(msgspec.Struct, frozen=True):
    """A layer of ours, or of theirs, that stands for several of the other model: how wide the share of each is, whether
    their names say in what order these are, and all of that in words.
    """

    whole: Part
    ours: bool
    widths: tuple[int, ...]
    named: bool
    told: str


SHARES = "shares"
"""The setting of a fused layer that says of how many heads each has the shares together, and their order: the places
that these layers have in the order of computation.
"""


def shares(part: Part) -> tuple[int, ...]:
    """That setting; nothing where nobody has set it."""
    said = part.settings.get(SHARES)
    return said if isinstance(said, tuple) else ()


def runs(parts: Sequence[Part], whole: Part) -> list[list[Part]]:
    """Neighbours whose kernels, side by side, have the shape of the whole's."""
    rows, columns = whole.arrays["kernel"].common()
    sizes = [part.arrays["kernel"].common() for part in parts]
    found = []
    for begin in range(len(parts)):
        width, end = 0, begin
        while end < len(parts) and width < columns and sizes[end][0] == rows:
            width, end = width + sizes[end][1], end + 1
        if width == columns and end > begin + 1:
            found.append(list(parts[begin:end]))
    return found


def by_what_they_project(run: Sequence[Part]) -> list[Part]:
    """Query, key and value in this order, where names say which is which."""
    projected = ("query", "key", "value")
    said = [[word for word in projected if word in words_of(last_of(part.name))] for part in run]
    if not all(len(words) == 1 for words in said) or len({words[0] for words in said}) < len(said):
        return []
    return [part for _, part in sorted(zip(said, run, strict=True), key=lambda each: projected.index(each[0][0]))]


def share(whole: Array, begin: int, width: int, heads: int) -> Array:
    """Columns of a fused array, or those of each head, which stand together with the other columns of that."""
    *rows, columns = whole.common()
    taken = Step("take", tuple(range(begin // heads, (begin + width) // heads)), len(rows) + (heads > 1))
    if heads == 1:
        return whole.then(taken)
    return whole.then(Step("reshape", (*rows, heads, columns // heads)), taken, Step("reshape", (*rows, width)))


def belong_together(run: Sequence[Part]) -> tuple[int, bool, bool, bool]:
    """How likely it is, of several runs, that one projects the same to query, key and value, or to the last two."""
    words = frozenset[str]().union(*(words_of(part.name) for part in run))
    above = {holder_of(part.name) for part in run}
    projected = words & {"query", "key", "value"}
    return len(projected), "value" in projected, len(above) == 1, len({part.behind for part in run}) == 1
