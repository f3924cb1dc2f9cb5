"""Which two models a pair is of, by the files that name them."""

from __future__ import annotations

from pathlib import Path

from harness.errors import BenchError
from harness.parity.pairs.orders import Source


def sources(pair: str, keras: str = "", trusted: bool = False) -> tuple[Source, Source]:
    """The first model and the second. Raises BenchError where a file is not there, or there are not two models."""
    for key, path in (("pair", pair), ("keras", keras)):
        if path and not Path(path).is_file():
            raise BenchError(f"{key}={path}: there is no such file")
    if not pair:
        raise BenchError(f"keras={keras}: and the other model? pair=FILE.py with a function torch_model()")
    path = str(Path(pair).resolve())
    ours = Source("keras", path, "keras_model", path, trusted)
    if keras:
        ours = Source("keras", str(Path(keras).resolve()), "", path, trusted)
    return ours, Source("torch", path, "torch_model", path, trusted)
