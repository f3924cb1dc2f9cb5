"""What a torch module computes, call by call, and which axis of a tensor is that of channels: torch does not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.foreign import Arrays, Measured, Shape, leaves, measured


class Tag(NamedTuple):
    """How a tensor lies: channels `first`, or turned from there to be `last`; `flat`, from that shape, channels first;
    `given` that shape by a reshape of what a layer answered; or just `from` a layer.
    """

    lies: str
    shape: Shape = ()
    source: str = ""


class Layouts(TorchFunctionMode):
    """Watches functions and, through hooks, modules. `seen` has what layers are given and answer, `calls` their names
    and those of what lies between, `flattened` and `unflattened` what `Part` says of them, `coarse` what is computed in
    less than double precision where that is the default, `wide` which dropouts draw one number for a whole channel.
    """

    def __init__(self, still: bool) -> None:
        super().__init__()
        self._still = still
        self._tags: dict[int, tuple[Tensor, Tag]] = {}  # tensors are held, so that no other takes their number
        self._inside: list[str] = []
        self._paused = False
        self.calls: list[tuple[str, str]] = []
        self.seen: Arrays = {}
        self.behind: dict[str, str] = {}
        self._sources: dict[int, tuple[Tensor, str]] = {}
        self.ranks: dict[str, int] = {}
        self.lies: dict[str, str] = {}
        self.flattened: dict[str, Shape] = {}
        self.unflattened: dict[str, Shape] = {}
        self.dropouts: list[tuple[str, float, Measured | None]] = []
        self.wide: set[str] = set()
        self.coarse: dict[str, None] = {}

    # --- modules --------------------------------------------------------------------------------------------------

    def enters(self, name: str, module: nn.Module, holds: bool) -> Callable[..., None]:
        """A hook of a module, that holds arrays or not."""

        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
            if not self._inside:
                told = f"{type(module).__name__} {name}"
                self.calls.append(("layer", name) if holds else ("between", told))
            self._inside.append(name)
            if isinstance(module, nn.MultiheadAttention) and module.dropout:
                self.dropouts.append((name, module.dropout, None))
            given = leaves([*args, *kwargs.values()])
            if holds and given and f"{name}/input" not in self.seen and isinstance(given[0], Tensor):
                tag = self._tag(given[0])
                self.behind[name] = self._sources.get(id(given[0]), (None, ""))[1]
                self.ranks[name], self.lies[name] = given[0].ndim, tag.lies
                if tag.lies == "flat":
                    self.flattened[name] = tag.shape
                self.seen[f"{name}/input"] = self._batch_first(module, self.common(given[0]))

        return hook

    def leaves(self, name: str, holds: bool) -> Callable[..., None]:
        """A hook of a module that has answered."""

        def hook(module: nn.Module, _: Any, made: Any) -> None:
            self._inside.pop()
            answers = [answer for answer in leaves(made) if isinstance(answer, Tensor)]
            if not holds or name in self.seen or not answers:
                return
            answer = answers[0]
            self._sources[id(answer)] = (answer, name)
            if self._tag(answer).lies == "" and isinstance(module, nn.Linear):
                self._put(answer, Tag("from", source=name))
            self.seen[name] = self._batch_first(module, self.common(answer))
            if isinstance(module, nn.RNNBase):
                directions = 2 if module.bidirectional else 1
                last = [self._array(each) for each in answers[1][-directions:]]
                self.seen[f"{name}/last"] = np.concatenate(last, axis=-1)

        return hook

    @staticmethod
    def _batch_first(module: nn.Module, array: NDArray[Any]) -> NDArray[Any]:
        ours = isinstance(module, nn.RNNBase | nn.MultiheadAttention)
        return array.swapaxes(0, 1) if ours and not module.batch_first and array.ndim == 3 else array

    # --- tensors --------------------------------------------------------------------------------------------------

    def _tag(self, tensor: Tensor) -> Tag:
        return self._tags.get(id(tensor), (tensor, Tag("")))[1]

    def _put(self, tensor: Tensor, tag: Tag) -> None:
        self._tags[id(tensor)] = (tensor, tag)

    def channels_first(self, tensor: Tensor) -> None:
        """An input that is given so."""
        self._put(tensor, Tag("first"))

    def _array(self, tensor: Tensor) -> NDArray[Any]:
        self._paused = True
        try:
            return np.array(tensor.detach().numpy())
        finally:
            self._paused = False

    def common(self, tensor: Tensor) -> NDArray[Any]:
        """A tensor in the common layout, channels last."""
        array, tag = self._array(tensor), self._tag(tensor)
        if tag.lies in ("first", "given") and array.ndim > 2:
            return np.moveaxis(array, 1, -1)
        if tag.lies == "flat":
            return np.moveaxis(array.reshape(len(array), *tag.shape), 1, -1).reshape(array.shape)
        return array

    def as_answered(self, expected: Tensor, answer: Tensor) -> Tensor:
        """A target, channels last, as this answer lies."""
        self._paused = True
        try:
            same = self._tag(answer).lies in ("first", "given") and expected.ndim == answer.ndim > 2
            return expected.movedim(-1, 1).contiguous() if same else expected
        finally:
            self._paused = False

    # --- functions ------------------------------------------------------------------------------------------------

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute as usual, and follow where the channels go."""
        kwargs = kwargs or {}
        if self._paused:
            return function(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if torch.get_default_dtype() is torch.float64:
            function, args, kwargs = _in_double(function, args, kwargs)
        if "dropout" in name:
            return self._dropped(name, function, args, kwargs)
        if name == "scaled_dot_product_attention" and self._still:
            kwargs = {**kwargs, "dropout_p": 0.0}
        made = function(*args, **kwargs)
        if torch.get_default_dtype() is torch.float64 and any(map(self._is_coarse, [made, *_tensors(args, kwargs)])):
            self.coarse[f"{name} of {self._inside[-1]}" if self._inside else name] = None
        if not self._inside and name not in _UNTOLD and not name.startswith("__get"):
            self.calls.append(("between", name.strip("_")))
        if isinstance(made, Tensor):
            tensors = list(_tensors(args, kwargs))
            if len(tensors) == 1 and id(tensors[0]) in self._sources:
                self._sources[id(made)] = (made, self._sources[id(tensors[0])][1])
            if name in _TURNS:
                self._turned(self._tag(tensors[0]), made, self._order(function, made.ndim, args, kwargs))
            else:
                self._follow(name, tensors, made)
        return made

    def _is_coarse(self, made: Any) -> bool:
        """Whether a tensor has numbers that less than double precision may have rounded: whole ones are none."""
        coarse = isinstance(made, Tensor) and made.dtype in (torch.float32, torch.float16, torch.bfloat16)
        return bool(coarse and (made != made.round()).any())

    def _order(self, function: Any, rank: int, args: Any, kwargs: Any) -> tuple[int, ...]:
        """Which axis of what it is given each axis of what such a function makes is: a tensor tells by its shape."""
        others = {name: value for name, value in kwargs.items() if name != "input"}
        self._paused = True
        try:
            made = function(torch.empty(*range(2, 2 + rank)), *(args if "input" in kwargs else args[1:]), **others)
        finally:
            self._paused = False
        return tuple(length - 2 for length in made.shape)

    def _turned(self, tag: Tag, made: Tensor, order: tuple[int, ...]) -> None:
        inner = tuple(range(1, len(order) - 1))
        if tag.lies and tag.lies != "last" and order[:2] == (0, 1):
            self._put(made, tag)
        elif tag.lies == "first" and order == (0, *(axis + 1 for axis in inner), 1):
            self._put(made, Tag("last"))
        elif tag.lies == "last" and order == (0, len(order) - 1, *inner):
            self._put(made, Tag("first"))
        elif tag.lies == "last" and (order[0], order[-1]) == (0, len(order) - 1):
            self._put(made, tag)

    def _dropped(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        """A dropout as a function: in training mode it is measured, or does nothing."""
        rate = float(args[1] if len(args) > 1 else kwargs.get("p", 0.5))
        training = args[2] if len(args) > 2 else kwargs.get("training", True)
        if training and self._still:
            args, kwargs = args[:1], {"p": 0.0, "training": False}
        made = function(*args, **kwargs)
        found = None
        called = self._inside[-1] if self._inside else f"{name} {len(self.dropouts)}"
        wide = tuple(range(2, made.ndim)) if name.startswith("feature") or name[-2:] in ("1d", "2d", "3d") else ()
        if wide:
            self.wide.add(called)
        if training and not self._still:
            found = measured(self._array(args[0]), self._array(made), wide, "alpha" in name)
        self.dropouts.append((called, rate, found))
        self._put(made, self._tag(args[0]))
        return made

    def _follow(self, name: str, given: list[Tensor], made: Tensor) -> None:
        tags = [tag for tensor in given if (tag := self._tag(tensor)).lies]
        tag = tags[0] if tags else Tag("")
        spatial = any(word in name for word in _SPATIAL) and made.ndim > 2
        if spatial:
            if tag.lies == "given":
                self.unflattened[tag.source] = tag.shape
            self._put(made, Tag("first"))
        elif name in _RESHAPES and given:
            self._reshaped(given[0], tag, made)
        elif tag.lies and given[0].ndim == made.ndim and not _mixes(name, tag) and _fits(tag, given[0], made):
            self._put(made, tag)

    def _reshaped(self, given: Tensor, tag: Tag, made: Tensor) -> None:
        if given.shape == made.shape:
            self._put(made, tag)
        elif tag.lies == "first" and made.ndim == 2 and made.shape[0] == given.shape[0]:
            if np.prod(given.shape[2:]) > 1:
                self._put(made, Tag("flat", tuple(given.shape[1:])))
        elif tag.lies == "first" and made.ndim > 2 and made.shape[:2] == given.shape[:2]:
            self._put(made, tag)
        elif tag.lies == "from" and given.ndim == 2 and made.ndim > 2:
            self._put(made, Tag("given", tuple(made.shape[1:]), tag.source))


_SPATIAL = ("conv", "pool", "interpolate", "upsample", "batch_norm", "instance_norm", "group_norm", "pixel_shuffle")
_TURNS = ("permute", "transpose", "swapaxes", "movedim", "moveaxis", "swapdims", "mT")
_RESHAPES = ("view", "reshape", "flatten", "unflatten", "ravel")
_MIXES = ("linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "einsum", "embedding")
_UNTOLD = {"size", "dim", "numel", "contiguous", "detach", "item", "clone", "is_floating_point", "to", "stride",
           "__len__", "__getitem__", "__setitem__",
           "data_ptr", "is_contiguous", "zero_grad", "requires_grad_"}  # fmt: skip


def _in_double(function: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """A call that computes in double precision where it was written for single, as norms are that take `x.float()`."""

    def wider(value: Any) -> Any:
        return torch.float64 if value is torch.float32 else value

    args, kwargs = tuple(map(wider, args)), {name: wider(value) for name, value in kwargs.items()}
    return torch.Tensor.double if function is torch.Tensor.float else function, args, kwargs


def _fits(tag: Tag, given: Tensor, made: Tensor) -> bool:
    return tag.lies != "flat" or given.shape == made.shape


def _mixes(name: str, tag: Tag) -> bool:
    """Whether it is not known afterwards which axis is which; dense layers are of the last one."""
    return name in _MIXES and not (name == "linear" and tag.lies == "last")


def _tensors(args: Any, kwargs: Any) -> Iterator[Tensor]:
    yield from (each for each in leaves([list(args), dict(kwargs)]) if isinstance(each, torch.Tensor))
