"""One side of somebody's pair, in an interpreter of its own: `python -m harness.parity.pairs.side KIND`.

The user's code runs here and nowhere else. Requests come one a line on standard input, until that ends.
"""

from __future__ import annotations

import difflib
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from harness import registry
from harness.errors import BenchError, NotExported, Unavailable
from harness.foreign import Arrays, Foreign, Inputs, Source
from harness.parity.pairs.orders import (
    BATCH,
    DRAWN,
    FIRST_SEED,
    ROW_SEED,
    STEPS,
    Compute,
    Computed,
    Draw,
    Export,
    Exported,
    Inspect,
    Looked,
    Own,
    Request,
    below,
)
from harness.parity.side import failed, plain
from harness.protocol import Precision
from harness.running.child import Answer, Ready, Refused, end_with_input, peak_gib, take_over_stdout

_Made = TypeVar("_Made")

OTHERS = {
    "keras": ("torch",),
    "torch": ("keras", "tensorflow"),
    "jax": ("keras", "torch"),  # TensorFlow may come: libraries of JAX read files with it, where it is installed
    "onnx": ("keras", "tensorflow", "torch"),
}
_MADE = [f"{kind}_{what}" for what in ("loss", "optimizer", "step") for kind in ("keras", "torch", "jax")]
SAID = ("inputs", "targets", "torch_inputs", "jax_inputs", "mapping", *_MADE)


def main(kind: str) -> None:
    """Answer requests until standard input ends."""
    send = take_over_stdout()
    lines = end_with_input()
    sys.meta_path.insert(0, _Elsewhere(OTHERS[kind]))
    side = Served(registry.foreign(kind))
    send(Ready())
    while True:
        request: Request = msgspec.json.decode(lines.get(), type=Request)
        try:
            value = side.answer(request)
            send(Answer(msgspec.Raw(msgspec.json.encode(value)), peak_gib()))
        except BenchError as error:
            send(Refused(str(error).encode(errors="backslashreplace").decode()))


class _Elsewhere(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Refuses to import the other side's framework: the two do not bear each other in one process."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find one of the names, so that nobody else does."""
        return ModuleSpec(fullname, self) if fullname in self._names else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Raise ImportError."""
        raise ImportError(
            f"{spec.name} is imported in the process of the other framework, and the two do not bear each other: "
            "import it inside the function that needs it, or in a file that only that function imports"
        )

    def exec_module(self, module: ModuleType) -> None:
        """Never comes to this."""


class Said:
    """What a pair's file defines, by name."""

    def __init__(self, path: str) -> None:
        self._module = _executed(path) if path else ModuleType("none")
        for name in vars(self._module):
            near = difflib.get_close_matches(name, SAID, n=1, cutoff=0.85)
            if near and name not in SAID and self.get(near[0]) is None:
                raise BenchError(
                    f"{path}: has {name} and no {near[0]}: did you mean that? If not, call it _{name}: names so near "
                    "are taken for slips"
                )

    def get(self, name: str) -> Any:
        """See `harness.foreign.Pairing`."""
        return getattr(self._module, name, None)

    def call(self, name: str, *args: Any) -> Any:
        """Call a function of the user's. Raises BenchError where there is none or it fails."""
        function = self.get(name)
        if not callable(function):
            raise BenchError(f"{self._module.__file__}: has no function {name}()")
        try:
            return function(*args)
        except Exception as error:
            traceback.print_exc()
            raise BenchError(f"{name}() of {self._module.__file__}: {failed(error)}") from None


def _executed(path: str) -> ModuleType:
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"pair_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise BenchError(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        traceback.print_exc()
        raise BenchError(f"{path}: {failed(error)}") from None
    return module


class Served:
    """A model, built once in each precision."""

    def __init__(self, framework: Any) -> None:
        self._framework = framework
        self._models: dict[Precision, Foreign] = {}
        self._source = Source("keras", "")
        self._said = Said("")
        self._inputs: Arrays = {}
        self._targets: Arrays = {}
        self._own: Arrays = {}
        self._called: dict[str, str] = {}

    def answer(self, request: Request) -> msgspec.Struct:
        """Do what is asked. Raises BenchError where the user's code fails before there is anything to compare."""
        match request:
            case Inspect():
                return self._look(request)
            case Draw(given, seed):
                self._draw(given, seed)
                return Computed()
            case Own(out):
                save_file(self._own, out)
                return Computed()
            case Compute():
                return self._compute(request)
            case Export():
                return self._export(request)

    def _model(self, precision: Precision) -> Foreign:
        self._framework.configure(precision, fresh=precision not in self._models)
        if precision not in self._models:
            said, source = self._said, self._source
            made = said.call(source.function) if source.function else self._framework.load(source, precision)
            model = self._framework.wrap(made, self._said, precision)
            if precision == "float64":  # the other was looked at when it was asked what it is
                model.inspect(self._inputs)
            self._models[precision] = model
        return self._models[precision]

    def _look(self, request: Inspect) -> Looked:
        self._source, self._models, self._called = request.source, {}, request.called
        self._said = Said(request.source.said)
        model = self._model("float32")
        if request.draws:
            self._inputs = drawn(self._said, model.inputs(), FIRST_SEED)
        else:
            self._read(request.given)
        inspected = self._run(model.inspect)
        self._own = {name: np.array(array, order="C") for name, array in model.arrays().items()}
        if request.draws:
            self._aim(model, request.given, FIRST_SEED)
        says = tuple(name for name in SAID if self._said.get(name) is not None)
        called = {each.name: each.called for each in model.inputs() if each.called and each.name in self._inputs}
        return Looked(inspected, says, self._mapping(), called)

    def _run(self, run: Callable[[Arrays], _Made]) -> _Made:
        """Run the model on the inputs. Raises BenchError where it fails."""
        try:
            return run(self._inputs)
        except BenchError:
            raise
        except Exception as error:
            traceback.print_exc()
            shapes = ", ".join(str(array.shape) for array in self._inputs.values())
            told = f"{self._source.kind}: the model does not run on inputs of {shapes}"
            raise BenchError(f"{told}: {failed(error)}") from None

    def _mapping(self) -> dict[str, str]:
        said = self._said.get("mapping") or {}
        try:
            return msgspec.convert(said, dict[str, str])
        except msgspec.ValidationError:
            raise BenchError("mapping: must be a dictionary from layers of one model to layers of the other") from None

    def _draw(self, given: str, seed: int) -> None:
        model = self._model("float32")
        self._inputs = drawn(self._said, model.inputs(), seed)
        self._aim(model, given, seed)

    def _aim(self, model: Foreign, given: str, seed: int) -> None:
        """Draw targets, too, and write both."""
        draw = np.random.default_rng([seed, 2])
        if self._said.get("targets"):
            self._targets = named(self._said.call("targets", draw, DRAWN), "targets")
        else:
            seen = self._run(model.forward)
            answers = [array.shape for name, array in seen.items() if name.startswith("answer ")]
            self._targets = {str(n): draw.normal(size=shape).astype(np.float32) for n, shape in enumerate(answers)}
        arrays = {f"inputs/{name}": array for name, array in self._inputs.items()}
        arrays |= {f"targets/{name}": array for name, array in self._targets.items()}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, given)

    def _read(self, path: str) -> None:
        arrays = load_file(path)
        given = below("inputs/", arrays)
        self._inputs = {self._called.get(name, name): array for name, array in given.items()}
        self._targets = below("targets/", arrays)

    def _compute(self, request: Compute) -> Computed:
        given = load_file(request.given)
        start = below("weights/", given)
        if any(name.startswith("inputs/") for name in given):
            self._read(request.given)
        found = _Found(start, self._inputs, self._targets, request)
        found.climb(self._model("float32"), "float32")
        if "float64" in self._framework.PRECISIONS:
            try:
                found.climb(self._model("float64"), "float64")
            except Exception as error:  # whatever a framework raises that does not compute something in this precision
                found.no_double(error)
        save_file({name: np.ascontiguousarray(array) for name, array in found.arrays.items()}, request.out)
        return found.told

    def _export(self, request: Export) -> Exported:
        given = load_file(request.given)
        model = self._model("float32")
        model.set_arrays(below("weights/", given))
        few = _few(below("inputs/", given))
        try:
            layout = model.export(few, request.out)
            registry.foreign("onnx").load(Source("onnx", request.out), "float32")  # one that nothing can run is none
        except (NotExported, BenchError) as error:
            traceback.print_exc()
            return Exported(reason=plain(str(error)).replace(f"{request.out}: ", "its graph "))
        return Exported(layout)


def _few(arrays: Arrays) -> Arrays:
    return {name: array[:BATCH] for name, array in arrays.items()}


class _Found:
    """What comes of each rung: `arrays` named `<precision>/<rung>/<array>`, and what is `told` of them."""

    def __init__(self, start: Arrays, inputs: Arrays, targets: Arrays, request: Compute) -> None:
        self._start, self._inputs, self._targets, self._request = start, inputs, targets, request
        self.arrays: Arrays = {}
        self.told = Computed()

    def climb(self, model: Foreign, precision: Precision) -> None:
        """All rungs that are asked for."""
        rungs = self._request.rungs
        trains = {"gradients", "state", "optimizer"} & set(rungs)
        for rung, asked, climb in (
            ("forward", "forward" in rungs, self._forward),
            ("gradients", bool(trains), self._gradients),
            ("optimizer", "optimizer" in rungs, self._optimizer),
        ):
            if not asked or rung in self.told.broken or rung in self.told.lacks:
                continue
            try:
                if self._start:
                    model.set_arrays(self._start)
                for name, array in climb(model).items():
                    self.arrays[f"{precision}/{name}"] = np.asarray(array)
            except Unavailable as error:
                self.told.lacks[rung] = str(error)
            except Exception as error:  # whatever the user's code raises, the other rungs are still worth climbing
                if precision == "float64":  # and in single precision it raised nothing
                    self.no_double(error)
                    continue
                traceback.print_exc()
                self.told.broken[rung] = _why(error)
        if precision == "float64" and not self.told.single and (kept := model.in_single()):
            more = f" and {len(kept) - 2} more" if len(kept) > 2 else ""
            self.told.single = f"computes {', '.join(kept[:2])}{more} in single precision always"

    def no_double(self, error: Exception) -> None:
        """Keep why the model does not run in double precision; called where that is handled."""
        traceback.print_exc()
        self.told.single = f"does not run in double precision ({_why(error)})"

    def _forward(self, model: Foreign) -> Arrays:
        few = _few(self._inputs)
        found = model.forward(few)
        answers = {name: array for name, array in found.items() if name.startswith("answer ")}
        again, self.told.draws = model.forward(few), model.draws()
        self.told.random = any(
            not np.array_equal(array, again[name], equal_nan=True) for name, array in answers.items()
        )
        return {f"forward/{name}": array for name, array in found.items()}

    def _gradients(self, model: Foreign) -> Arrays:
        batch = _few(self._inputs)
        loss, gradients = model.gradients(batch, _few(self._targets))
        found = {"gradients/loss": np.array(loss), "gradients/penalties": np.array(model.penalties())}
        found |= {f"gradients/array/{name}": array for name, array in gradients.items()}
        found |= {f"state/{name}": array for name, array in model.arrays().items()}
        model.set_arrays(self._start)
        for name, (kept, factor, count) in model.dropped(self._inputs).items():
            found[f"dropped/{name}"] = np.array([kept, factor, count])
        noises = model.noises()
        self.told.noises = None if noises is None else tuple(noises)
        model.set_arrays(self._start)
        return found | {f"noised/{name}": array for name, array in model.noised(batch).items()}

    def _optimizer(self, model: Foreign) -> Arrays:
        draw = np.random.default_rng(ROW_SEED)
        order = np.stack([draw.permutation(DRAWN)[:BATCH] for _ in range(STEPS[-1])])
        trained = model.train(self._inputs, self._targets, order, STEPS, self._request.held, self._request.other)
        self.told.optimizer, self.told.rates, self.told.formula = trained.optimizer, trained.rates, trained.formula
        found = _steps("optimizer", trained.losses, trained.arrays)
        if trained.corrected:
            found |= _steps("corrected", *trained.corrected)
        return found


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, BenchError) else failed(error)


def _steps(rung: str, losses: Sequence[float], arrays: dict[int, Arrays]) -> Arrays:
    found: Arrays = {}
    for step, left in arrays.items():
        found[f"{rung}/{step}/loss"] = np.array(losses[step - 1])
        found |= {f"{rung}/{step}/array/{name}": array for name, array in left.items()}
    return found


def drawn(said: Said, told: tuple[Inputs, ...], seed: int) -> Arrays:
    """Inputs, by the user's function or shapes, or as the model says. Raises BenchError where nobody says."""
    draw = np.random.default_rng([seed, 1])
    given = said.get("inputs")
    if callable(given):
        return named(said.call("inputs", draw, DRAWN), "inputs")
    if given is not None:
        told = tuple(_masking(_input(name, shape), place, told) for place, (name, shape) in enumerate(_items(given)))
    if not told or any(0 in each.shape for each in told):
        raise BenchError("the model does not say what it takes: define inputs = [(height, width, channels), ...]")
    return {each.name: _draw(draw, each) for each in told}


def _masking(each: Inputs, place: int, told: Sequence[Inputs]) -> Inputs:
    """An input of the user's, masked as the model's own in its place is, where its shape is that."""
    own = told[place] if place < len(told) else each
    fits = len(own.shape) == len(each.shape) and all(
        size in (0, said) for size, said in zip(own.shape, each.shape, strict=True)
    )
    return msgspec.structs.replace(each, masked=own.masked) if fits and bool(each.below) == bool(own.below) else each


def _items(given: Any) -> list[tuple[str, Any]]:
    if isinstance(given, dict) and not {"shape"} <= set(given):
        return list(given.items())
    if isinstance(given, dict) or (isinstance(given, tuple) and all(isinstance(size, int) for size in given)):
        given = [given]
    return [(str(place), shape) for place, shape in enumerate(given)]


def _input(name: str, shape: Any) -> Inputs:
    below = 0
    if isinstance(shape, dict):
        shape, below = shape.get("shape"), int(shape.get("below", 0))
    try:
        return Inputs(name, tuple(int(size) for size in shape), below)
    except (TypeError, ValueError):
        raise BenchError(
            f"inputs: {shape!r} is no shape: as in (32, 32, 3), or {{'shape': (12,), 'below': 100}} for tokens"
        ) from None


def _draw(draw: np.random.Generator, each: Inputs) -> NDArray[Any]:
    """Normal numbers, of which every other sample ends in steps that are masked, where there are such; of tokens, every
    other sample ends in zeros, as padded ones do: nothing else is zero where zeros are masked, as lengths tell no more.
    """
    if not each.below:
        normal = draw.normal(size=(DRAWN, *each.shape)).astype(np.float32)
        if each.masked is not None and len(each.shape) > 1 < each.shape[0]:
            normal[1::2, -max(each.shape[0] // 3, 1) :] = each.masked
        return normal
    lowest = int(each.masked is not None and each.below > 1)
    tokens = draw.integers(lowest, each.below, (DRAWN, *each.shape)).astype(np.int32)
    if each.shape and each.shape[-1] > 3:
        tokens[1::2, ..., -(each.shape[-1] // 3) :] = 0
    return tokens


def named(value: Any, what: str) -> Arrays:
    """Arrays of the user's by name, those without one by number; `inputs` of truth values are such, as masks are, of
    `targets` whole numbers. Raises BenchError for what is no array.
    """
    pairs = (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list | tuple) else [value])
    )
    found = {}
    for name, array in pairs:
        given = np.asarray(array)
        if given.dtype.kind not in "fiub" or not given.shape or len(given) != DRAWN:
            raise BenchError(
                f"{what}(rng, n): must return arrays of n numbers or rows, not {given.dtype} {given.shape}"
            )
        mask = given.dtype.kind == "b" and what == "inputs"
        found[str(name)] = given if mask else given.astype(np.float32 if given.dtype.kind == "f" else np.int32)
    return found


if __name__ == "__main__":
    main(sys.argv[1])
