"""Whether a suite keeps to `harness.protocol`: asked of its module where it is imported, and of its data where they are
loaded. Whoever wrote it is told before anything is trained what would otherwise come up in each cell, in other words.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import plug_ins
from harness.errors import BenchError
from harness.model.variants import Variant
from harness.protocol import Comparison, Dataset, Facts, Metric, Profile, Split, Suite
from harness.text import Label, Name, fits, nearest, shown, without_patterns

if TYPE_CHECKING:
    from types import ModuleType

_SEE = "docs/own-suite.md has a whole suite, and harness/protocol.py says what each name is"


def settle(name: str, module: ModuleType) -> None:
    """Put in the place of a suite's variants what is read back of them: a cell's key must not depend on whether
    somebody wrote 2 or 2.0.

    Raises BenchError with everything that keeps the module from being a suite.
    """
    wrong = [f"it has no {one}" for one in _promised() if not hasattr(module, one)] or list(_wrong_of_module(module))
    if wrong:
        raise _error(name, "", wrong)
    vars(module)["VARIANTS"] = tuple(_read_back(variant, Variant) for variant in module.VARIANTS)


def refuse_unfit(name: str, suite: Suite, dataset: Dataset, load: Callable[[], Dataset]) -> None:
    """Raise BenchError with everything that is wrong with the data that a suite has loaded, and with their split; and
    where `load` does not give a package's the same once more, as each worker needs them.
    """
    wrong = [*_wrong_of_images(dataset), *_wrong_of_targets(dataset), *_wrong_of_labels(dataset)]
    wrong = wrong or list(_wrong_of_split(suite.split(dataset), dataset))
    if not wrong and name in plug_ins.installed("suites") and load().fingerprint() != dataset.fingerprint():
        wrong = ["load gives others each time: seed what it draws, as np.random.default_rng(0) does, and sort files"]
    if wrong:
        raise _error(name, f": the data set '{dataset.name}'", wrong)


def _error(name: str, what: str, wrong: Sequence[str]) -> BenchError:
    point = plug_ins.installed("suites").get(name)
    told = "".join(f"\n  {one}" for one in wrong)
    return BenchError(shown(f"suite {plug_ins.told(point) if point else name}{what} cannot be used; {_SEE}{told}"))


def _promised() -> Iterator[str]:
    """The names that a suite's module has."""
    yield from typing.get_type_hints(Suite)
    yield from (name for name, value in vars(Suite).items() if callable(value) and not name.startswith("_"))


# --- the module ---------------------------------------------------------------------------------------------------


def _wrong_of_module(module: ModuleType) -> Iterator[str]:
    names = [str(variant.name) for variant in module.VARIANTS]
    yield from _wrong_names("a variant's name", names)
    if "all" in names:
        yield "a variant is called all, which means every one"
    yield from _wrong_names("a metric's key", [metric.key for metric in module.METRICS])
    yield from _wrong_names("a symmetry's key", [symmetry.key for symmetry in module.SYMMETRIES])
    yield from _unread((f"variant {one.name}", one, Variant) for one in module.VARIANTS)
    yield from _unread((f"profile {key}", one, Profile) for key, one in module.PROFILES.items())
    yield from _unread((f"metric {one.key}", one, Metric) for one in module.METRICS)
    yield from _unread((f"comparison '{one.question}'", one, Comparison) for one in module.COMPARISONS)
    for metric in module.METRICS:
        try:
            format(1.0, metric.form)
        except ValueError as error:
            yield f"metric {metric.key}: form '{metric.form}': {error}"
    for comparison in module.COMPARISONS:
        for one in (comparison.variant, comparison.other):
            if one not in names:
                yield f"comparison '{comparison.question}': no variant is called {one}{nearest(one, names)}"


def _wrong_names(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(list(names)).items():
        if count > 1:
            yield f"{what}: '{name}' is there {count} times"
        if not fits(name, Name):
            yield f"{what}: '{name}': {_NAMES}"


_NAMES = "only letters, digits, dots, - and _, no - or dot at first"


def _unread(things: Iterable[tuple[str, Any, type]]) -> Iterator[str]:
    """What cannot be read back of things as records have them, by what each is."""
    for what, thing, kind in things:
        try:
            _read_back(thing, kind)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            yield f"{what}: {without_patterns(str(error))}"


def _read_back(thing: Any, kind: type) -> Any:
    return msgspec.json.decode(msgspec.json.encode(thing), type=kind)


# --- the data -----------------------------------------------------------------------------------------------------


def _wrong_of_images(dataset: Dataset) -> Iterator[str]:
    images = dataset.images
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.dtype != np.float32:
        yield f"images are {_kind(images)}: they must be float32, of shape (n, height, width, channel)"
    elif not images.size:
        yield f"images are of shape {images.shape}: there are none"
    elif not (images.min() >= -_ROUNDING and images.max() <= 1 + _ROUNDING):  # neither is true where one is no number
        yield f"images have values from {images.min():g} to {images.max():g}: they must lie in 0 to 1"


_ROUNDING = 1e-5  # averages of white pixels may be just beyond


def _wrong_of_targets(dataset: Dataset) -> Iterator[str]:
    targets, count = dataset.targets, len(dataset.images)
    if not isinstance(targets, np.ndarray) or targets.ndim != 2 or targets.dtype.kind != "f":
        yield f"targets are {_kind(targets)}: they must be float64, of shape (n, t)"
        return
    if len(targets) != count:
        yield f"targets are of shape {targets.shape}, and there are {count} images"
    if bad := int((~np.isfinite(targets)).any(axis=1).sum()):
        yield f"{bad} images have targets that are no numbers: leave them out"
    given: dict[str, Any] = {"target_names": dataset.target_names, "units": dataset.units}
    for what, values in given.items():
        if isinstance(values, str) or len(values) != targets.shape[1]:
            yield f"{what} are {values!r}: there must be one for each of {targets.shape[1]} targets, ('a',) for one"
    yield from _wrong_names("a target's name", dataset.target_names)
    for unit in dataset.units:
        if not fits(unit, Label):
            yield f"unit {unit!r}: without $ and markup, as in '°C' or 'N/mm^2'"


def _wrong_of_labels(dataset: Dataset) -> Iterator[str]:
    for what in ("ids", "kinds", "groups", "clusters", "parts"):
        labels, count = getattr(dataset, what), len(dataset.images)
        if (labels or what == "ids") and len(labels) != count:
            yield f"{what} are {len(labels)}, and there are {count} images"
        # Of numbers it would go unnoticed that a group is on two sides of the split.
        for label in [label for label in labels if not isinstance(label, str)][:1]:
            yield f"{what} must be text, and {label!r} is {type(label).__name__}: str() makes it text"
    if not fits(dataset.facts, Facts):
        yield f"facts {dataset.facts!r}: both keys and values must be text; of keys {_NAMES}"


def _wrong_of_split(split: Any, dataset: Dataset) -> Iterator[str]:
    if not isinstance(split, Split) or not isinstance(split.tests, dict) or not split.tests:
        yield "split: gives no Split whose tests are a dict of at least one: Split(train, validation, {'test': rows})"
        return
    yield from _wrong_names("a test's name", split.tests)
    for name in split.tests.keys() & {"train", "validation"}:
        yield f"a test is called {name}, as another part of the split"
    for name, rows in (("train", split.train), ("validation", split.validation), *split.tests.items()):
        yield from (f"split: {name} {told}" for told in _wrong_of_rows(rows, len(dataset.images)))


def _wrong_of_rows(rows: NDArray[Any], count: int) -> Iterator[str]:
    if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype.kind not in "iu":
        yield f"is {_kind(rows)}: it must be an array of rows, as np.arange(80); np.flatnonzero makes one of a mask"
    elif not len(rows):
        yield "is empty"
    elif rows.min() < 0 or rows.max() >= count:
        yield f"has rows from {rows.min()} to {rows.max()}, and there are {count} images, counted from 0"


def _kind(value: object) -> str:
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
