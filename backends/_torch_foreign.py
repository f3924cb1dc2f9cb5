"""Somebody's torch module, looked at, run and trained as it is, for `bench parity pair=`."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor, nn

from backends._torch_foreign_parts import bare, is_leaf, is_looked_through, native_arrays, of_function, parts_of
from backends._torch_formulas import as_keras, formula_of, settings_of
from backends._torch_layouts import Layouts, turned
from harness.errors import BenchError, NotExported, Unavailable
from harness.foreign import (
    AT_RANDOM,
    HALVES,
    UNREAL,
    UNTRAINED,
    Arrays,
    Inputs,
    Inspected,
    Kind,
    Layout,
    Measured,
    Pairing,
    Part,
    Setting,
    Shape,
    Trained,
    alone,
    doors,
    keys_of,
    leaves,
    refuse_other_targets,
    shapes_of,
)
from harness.model.code import first_line
from harness.protocol import Precision

NAME = "torch"
PRECISIONS: tuple[Precision, ...] = "float32", "float64"


def configure(precision: Precision, fresh: bool) -> None:
    """Compute in this precision, on one thread, always by the same operations."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, precision))
    torch.backends.mha.set_fastpath_enabled(False)  # by which a layer would not be called
    torch.use_deterministic_algorithms(True, warn_only=True)


def wrap(model: Any, pairing: Pairing, precision: Precision) -> ForeignTorch:
    """The module, as `harness.foreign.Foreign`. Raises BenchError where it is none."""
    if not isinstance(model, nn.Module):
        raise BenchError(f"torch_model returns a {type(model).__name__}, not a torch module")
    model = _uncompiled(model)
    if any(isinstance(each, torch.jit.ScriptModule) for each in model.modules()):
        raise BenchError("torch_model returns a TorchScript module, which shows no layers: return it unscripted")
    return ForeignTorch(model, pairing, precision)


def _uncompiled(model: nn.Module) -> nn.Module:
    """A module without what `torch.compile` put round it, or round a module in it: nothing is seen in compiled code."""
    for module in model.modules():
        if module._compiled_call_impl is not None:  # by `module.compile()`
            module._compiled_call_impl = None
        for name, child in module.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(module, name, child._orig_mod)
    original = getattr(model, "_orig_mod", model)
    assert isinstance(original, nn.Module)
    return original


class ForeignTorch:
    """See `Foreign`."""

    def __init__(self, model: nn.Module, pairing: Pairing, precision: Precision) -> None:
        wanted = getattr(torch, precision)
        self._rounded = {name for name, buffer in model.named_buffers() if buffer.dtype != wanted}
        halves = {name: str(each.dtype).removeprefix("torch.") for name, each in native_arrays(model).items()}
        self._halves = {name: kept for name, kept in halves.items() if kept in HALVES}
        self._model, self._pairing, self._precision = model.to(wanted), pairing, precision
        self._axes: dict[str, Shape] = {}  # how each input is transposed at the door
        self._ranks: list[int] = []  # of each answer that lies channels first, else 0
        self._coarse: dict[str, None] = {}
        self._noises: list[str] = []
        self._draws = False
        self._keys: tuple[str, ...] = ()
        inside = {f"{name}.out_proj" for name, each in model.named_modules() if isinstance(each, nn.MultiheadAttention)}
        self._named = {
            name: module
            for name, module in model.named_modules()
            if is_leaf(module) and name not in inside and "parametrizations" not in name.split(".")
        }

    def inputs(self) -> tuple[Inputs, ...]:
        """None: a module does not say what it takes."""
        return ()

    def inspect(self, inputs: Arrays) -> Inspected:
        """See `Foreign.inspect`."""
        watch, answers = self._try_layouts(inputs)
        parts: list[Part] = []
        before: list[str] = []
        called: set[tuple[str, str]] = set()
        for kind, name in watch.calls:
            if kind == "between":
                before.append(name)
            elif (kind, name) not in called:
                called.add((kind, name))
                if kind == "function":
                    found = [of_function(watch.functions[name], self._model, watch)]
                else:
                    found = parts_of(name, self._named[name], self._model, watch)
                if found:
                    behind = watch.behind.get(name, "")
                    parts += [replace(found[0], before=tuple(before), behind=behind), *found[1:]]
                    before = [] if found[0].arrays else [f"{type(self._named[name]).__name__} {name}"]
        silent = [
            part
            for name, module in self._named.items()
            if ("layer", name) not in called
            for part in parts_of(name, module, self._model, watch)
        ]
        # A list of arrays is not called, and answers nothing.
        own = [replace(part, output="") for part in silent if part.kind in ("own", "constant")]
        unused = [part for part in silent if part.kind not in ("own", "constant")]
        constants = [part.name for part in (*own, *parts) if part.kind == "constant" and part.name in self._rounded]
        self._coarse |= {f"the constant {name}": None for name in constants}
        return Inspected(
            NAME,
            (*own, *parts, *unused),
            tuple(before),
            tuple(dropout for dropout, _ in watch.dropouts if dropout.rate),
            unused=tuple(part.name for part in unused),
            answers=answers,
            halves=self._halves,
            keys=self._keys,
        )

    def _try_layouts(self, inputs: Arrays) -> tuple[Layouts, int]:
        """Run the module once; an image is given channels first if it takes that, and as it is if not. Returns what was
        seen, and the number of its answers.
        """
        shapes = shapes_of(self._pairing.get("torch_inputs"), tuple(inputs))
        choices = [doors(array, shapes.get(name), "torch_inputs") for name, array in inputs.items()]
        errors = []
        for axes in itertools.product(*choices):
            self._axes = dict(zip(inputs, axes, strict=True))
            calls: list[tuple[str, str]] = []
            try:
                self._model.eval()  # so that no statistics move
                with torch.no_grad(), self._watched(deviations=None) as watch:  # lazy modules draw their weights
                    calls = watch.calls
                    answers = self._answers(inputs, watch)
                    self._ranks = [watch.rank_first(each) for each in answers]
            except Exception as error:  # whatever the module raises, it may take them in another layout
                errors.append((len(calls), error))
            else:
                return watch, len(answers)
        raise max(errors, key=lambda each: each[0])[1]  # of the layout by which it came furthest

    @contextlib.contextmanager
    def _watched(self, still: bool = False, deviations: float | None = 0.0) -> Iterator[Layouts]:
        """Watch all that is computed meanwhile."""
        watch = Layouts(still, deviations, bare(self._model))
        hooks = []
        for name, module in self._model.named_modules():
            if not is_leaf(module) and any(True for _ in module.children()):
                continue
            holds, through = name in self._named, is_looked_through(module)
            enters = watch.enters(name, module, holds, through)
            hooks.append(module.register_forward_pre_hook(enters, with_kwargs=True))
            hooks.append(module.register_forward_hook(watch.leaves(name, holds, through)))
        try:
            with watch:
                yield watch
        finally:
            self._coarse |= watch.coarse
            for hook in hooks:
                hook.remove()

    def _answers(self, inputs: Arrays, watch: Layouts) -> list[Any]:
        given = {name: self._given(array, self._axes[name]) for name, array in inputs.items()}
        for name, tensor in given.items():
            watch.begins(tensor)
            if self._axes[name][1:2] == (tensor.ndim - 1,):
                watch.channels_first(tensor)
        made = self._model(*given.values()) if all(name.isdigit() for name in given) else self._model(**given)
        self._keys = keys_of(made)
        return leaves(made)

    def _given(self, array: NDArray[Any], axes: Shape = ()) -> Tensor:
        array = array.transpose(axes) if axes else array
        kind = {"f": self._precision, "b": "bool"}.get(array.dtype.kind, "int64")
        return torch.from_numpy(np.ascontiguousarray(array, kind))

    def in_single(self) -> list[str]:
        """See `Foreign.in_single`."""
        return list(self._coarse)

    def arrays(self) -> Arrays:
        """See `Foreign.arrays`."""
        return {name: tensor.detach().numpy().copy() for name, tensor in native_arrays(self._model).items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Foreign.set_arrays`."""
        natives = native_arrays(self._model)
        with torch.no_grad():
            for name, array in arrays.items():
                natives[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))
                self._coarse.pop(f"the constant {name}", None)  # it has the numbers that the other side has

    def forward(self, inputs: Arrays) -> Arrays:
        """See `Foreign.forward`."""
        self._model.eval()
        with torch.no_grad(), self._watched() as watch:
            answers = self._answers(inputs, watch)
            self._draws = bool(watch.noises)
            return watch.seen | {f"answer {place}": watch.answer(each) for place, each in enumerate(answers)}

    def export(self, inputs: Arrays, path: str) -> Layout:
        """See `Foreign.export`. Opset 18, as ours are."""
        if self._draws:
            raise NotExported(AT_RANDOM)
        self._model.eval()
        given = {name: self._given(array, self._axes[name]) for name, array in inputs.items()}
        positional = all(name.isdigit() for name in given)
        free = [{0: torch.export.Dim("batch")} for _ in given]
        try:
            torch.onnx.export(
                self._model,
                tuple(given.values()) if positional else (),
                path,
                kwargs=None if positional else given,
                dynamo=True,
                opset_version=18,
                dynamic_shapes=tuple(free) if positional else dict(zip(given, free, strict=True)),
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # whatever torch's exporter raises over what it cannot write
            raise NotExported(f"torch's exporter: {first_line(error.__cause__ or error)}") from error
        return "first" if any(self._axes.values()) else "last"

    def gradients(self, inputs: Arrays, targets: Arrays) -> tuple[float, Arrays]:
        """See `Foreign.gradients`."""
        trained = self._trained()
        self._model.train()
        self._model.zero_grad()
        with self._still(), self._watched(still=True) as watch:
            loss = self._loss(targets, self._answers(inputs, watch), watch)
        if trained:
            loss.backward()
        return float(loss.detach()), {
            name: np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.detach().numpy().copy()
            for name, tensor in trained.items()
        }

    def _trained(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in native_arrays(self._model).items() if tensor.requires_grad}

    def _loss(self, targets: Arrays, answered: list[Tensor], watch: Layouts) -> Tensor:
        make = self._pairing.get("torch_loss")
        refuse_other_targets(NAME, len(answered), len(targets), make is not None)
        expected = [
            watch.as_answered(self._given(array), answer)
            for array, answer in zip(targets.values(), answered, strict=False)
        ]
        if make is None:
            losses = [
                ((theirs - ours.reshape(theirs.shape)) ** 2).mean()
                for ours, theirs in zip(expected, answered, strict=True)
                if theirs.is_floating_point()
            ]
            if not losses:
                raise Unavailable(UNREAL)
            return torch.stack(losses).sum()
        loss = make()
        return loss(answered[0], expected[0]) if len(answered) == 1 else loss(answered, expected)

    def penalties(self) -> float:
        """See `Foreign.penalties`."""
        return 0.0

    def dropped(self, inputs: Arrays) -> dict[str, Measured]:
        """See `Foreign.dropped`."""
        self._model.train()
        with torch.no_grad(), self._watched(deviations=None) as watch:
            self._answers(inputs, watch)
        self._noises = list(watch.noises)
        return {dropout.name: found for dropout, found in watch.dropouts if found}

    def noised(self, inputs: Arrays) -> Arrays:
        """See `Foreign.noised`."""
        self._model.train()
        with torch.no_grad(), self._still(), self._watched(still=True, deviations=1.0) as watch:
            answers = self._answers(inputs, watch)
            drew = any("normal" in name or "randn" in name for name in watch.noises)
            return {f"answer {place}": watch.answer(each) for place, each in enumerate(answers)} if drew else {}

    def draws(self) -> bool:
        """See `Foreign.draws`."""
        return self._draws

    def noises(self) -> list[str]:
        """See `Foreign.noises`."""
        return self._noises

    def train(
        self,
        inputs: Arrays,
        targets: Arrays,
        order: NDArray[np.intp],
        steps: tuple[int, ...],
        held: tuple[str, ...] = (),
        other: Kind = "keras",
    ) -> Trained:
        """See `Foreign.train`."""
        if not self._trained():  # which no optimizer of torch takes
            raise Unavailable(UNTRAINED)
        start = self.arrays()
        losses, rates, arrays, settings = self._train(inputs, targets, order, steps)
        formula = formula_of(settings, len(set(rates)) > 1) if other == "keras" else ""
        corrected = None
        if formula or held:
            self.set_arrays(start)
            still = [native_arrays(self._model)[name] for name in held]
            try:
                for tensor in still:
                    tensor.requires_grad_(False)
                corrected = self._train(inputs, targets, order, steps, as_keras if formula else None)[::2]
            finally:  # the next seed trains them again
                for tensor in still:
                    tensor.requires_grad_(True)
        return Trained(tuple(losses), tuple(rates), arrays, settings, corrected, formula)

    def _train(
        self,
        inputs: Arrays,
        targets: Arrays,
        order: NDArray[np.intp],
        steps: tuple[int, ...],
        correct: Callable[[torch.optim.Optimizer], torch.optim.Optimizer] | None = None,
    ) -> tuple[tuple[float, ...], tuple[float, ...], dict[int, Arrays], dict[str, Setting]]:
        made = self._pairing.get("torch_optimizer")(self._model)
        optimizer, schedule = made if isinstance(made, tuple) else (made, None)
        settings = settings_of(optimizer)
        stepping = correct(optimizer) if correct else optimizer
        step = self._pairing.get("torch_step")
        losses, rates, arrays = [], [], {}
        self._model.train()
        for done, rows in enumerate(order, 1):
            batch = {name: array[rows] for name, array in inputs.items()}
            expected = {name: array[rows] for name, array in targets.items()}
            rates.append(float(optimizer.param_groups[0]["lr"]))
            with self._still(), self._watched(still=True) as watch:
                if step:
                    given = [self._given(array, self._axes[name]) for name, array in batch.items()]
                    wanted = self._wanted(expected)
                    loss = step(self._model, stepping, *alone(given), *alone(wanted))
                else:
                    optimizer.zero_grad()
                    loss = self._loss(expected, self._answers(batch, watch), watch)
                    loss.backward()
                    stepping.step()
            if schedule:
                schedule.step()
            losses.append(float(loss))
            if done in steps:
                arrays[done] = self.arrays()
        return tuple(losses), tuple(rates), arrays, settings

    def _wanted(self, targets: Arrays) -> list[Tensor]:
        """Targets for a step of the user's, each as the answer of its place lies."""
        ranks = [*self._ranks, *[0] * len(targets)]
        return [turned(self._given(array), rank) for array, rank in zip(targets.values(), ranks, strict=False)]

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        """Meanwhile modules drop nothing; `Layouts` sees to functions."""
        before = []
        for module in self._model.modules():
            for attribute in ("p", "dropout"):
                value = getattr(module, attribute, None)
                ours = isinstance(module, nn.modules.dropout._DropoutNd | nn.MultiheadAttention | nn.RNNBase)
                if ours and isinstance(value, float):
                    before.append((module, attribute, value))
                    setattr(module, attribute, 0.0)
        try:
            yield
        finally:
            for module, attribute, value in before:
                setattr(module, attribute, value)
