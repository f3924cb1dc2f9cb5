"""What names of layers and arrays say, in whatever framework they were given."""

from __future__ import annotations

import re


def words_of(name: str) -> frozenset[str]:
    """What a name says, in the words of any framework."""
    found = re.split(r"[^a-z0-9]+|(?<=[a-z])(?=[0-9])", name.lower())
    return frozenset(_MEANS.get(word, word) for word in found if word)


_MEANS = {
    "q": "query",
    "k": "key",
    "v": "value",
    "batchnorm": "bn",
    "fc": "dense",
    "linear": "dense",
    "emb": "embedding",
    "var": "variance",
}


def last_of(name: str) -> str:
    """The last part of a name, behind whatever holds what it names."""
    return name.replace("/", ".").rpartition(".")[2]


def numbered(name: str) -> str:
    """The last of a name; of an item of a list with the list's, so that `scale.0` is `scale0`."""
    above, _, last = name.replace("/", ".").rpartition(".")
    return f"{last_of(above)}.{last}" if last.isdigit() else last


def holder_of(name: str) -> str:
    """What holds an array of this name."""
    return name[: -len(last_of(name)) - 1] if len(last_of(name)) < len(name) else ""
