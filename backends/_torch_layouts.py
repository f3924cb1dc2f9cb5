"""What a torch module computes, call by call, and which axis of a tensor is that of channels: torch does not tell."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.foreign import Arrays, Measured, Random, Setting, Shape, leaves, measured


class Tag(NamedTuple):
    """How a tensor `lies`, "" where nothing is known.

    - `first`: its channels come first; `last`: it was turned from there, and they come last;
    - `flat`: it was flattened from `shape`, in which channels came first;
    - `from`: it is what the layer `source` answered;
    - `given`: that was reshaped to `shape`. Whether channels come first in it shows when something spatial takes it.
    """

    lies: str
    shape: Shape = ()
    source: str = ""


class Given(NamedTuple):
    """A function that was given arrays which no layer holds, by their roles; its name is that of the first."""

    name: str
    kind: str
    arrays: dict[str, str]
    settings: dict[str, Setting]
    holder: str


class Layouts(TorchFunctionMode):
    """Watches functions and, through hooks, modules. `seen` has what layers are given and answer, and how often they
    are called, `calls` their names and those of what lies between, `flattened` and `unflattened` what `Part` says of
    them, `coarse` what is computed in less than double precision where that is the default, `noises` what draws besides
    dropouts: normal numbers are drawn, or all so many standard `deviations` above their mean. `bare` are the arrays of
    no layer, by their numbers: `functions` are what these are given to, by name, and `taken` the arrays of these.
    """

    def __init__(
        self, still: bool, deviations: float | None = None, bare: Mapping[int, tuple[str, str]] | None = None
    ) -> None:
        super().__init__()
        self._still, self._deviations, self._bare = still, deviations, bare or {}
        self.functions: dict[str, Given] = {}
        self._called: Counter[str] = Counter()
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
        self.dropouts: list[tuple[Random, Measured | None]] = []
        self.noises: dict[str, None] = {}
        self.coarse: dict[str, None] = {}

    @property
    def taken(self) -> set[str]:
        """Names of the arrays that functions were given."""
        return {name for given in self.functions.values() for name in given.arrays.values()}

    # --- modules --------------------------------------------------------------------------------------------------

    def enters(self, name: str, module: nn.Module, holds: bool, through: bool) -> Callable[..., None]:
        """A hook of a module, that holds arrays or not; one that is looked `through` does so beside layers."""

        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
            if not self._inside:
                told = f"{type(module).__name__} {name}"
                self.calls.append(("layer", name) if holds else ("between", told))
            if not through:
                self._inside.append(name)
            if isinstance(module, nn.MultiheadAttention) and module.dropout:
                self.dropouts.append((Random(name, module.dropout), None))
            if isinstance(module, nn.RNNBase) and module.dropout:
                between = [f"{name}/l{place}" for place in range(module.num_layers - 1)]
                self.dropouts += [(Random(each, module.dropout), None) for each in between]
            given = leaves(self._unpacked([*args, *kwargs.values()], module))
            if holds and given and isinstance(given[0], Tensor):
                self._given(name, given[0], module, isinstance(module, _SPATIAL_LAYERS))

        return hook

    def _given(self, name: str, given: Tensor, module: nn.Module | None, spatial: bool) -> None:
        """What a layer is given, channels first where it is `spatial`; of several calls the first."""
        self._called[name] += 1
        self.seen[f"{name}/calls"] = np.array(self._called[name])
        if f"{name}/input" in self.seen:
            return
        tag = self._tag(given)
        self.behind[name] = self._sources.get(id(given), (None, ""))[1]
        self.ranks[name], self.lies[name] = given.ndim, tag.lies
        if tag.lies == "flat":
            self.flattened[name] = tag.shape
        array = self._batch_first(module, self._seen(given, module))
        untold = spatial and tag.lies in ("", "given") and array.ndim > 2
        self.seen[f"{name}/input"] = np.moveaxis(array, 1, -1) if untold else array

    def _answered(self, name: str, answer: Tensor, dense: bool, module: nn.Module | None) -> None:
        """What a layer answers at its first call."""
        self._sources[id(answer)] = (answer, name)
        if self._tag(answer).lies == "" and dense:
            self._put(answer, Tag("from", source=name))
        self.seen[name] = self._batch_first(module, self._seen(answer, module))

    def leaves(self, name: str, holds: bool, through: bool) -> Callable[..., None]:
        """A hook of a module that has answered."""

        def hook(module: nn.Module, _: Any, made: Any) -> None:
            if not through:
                self._inside.pop()
            answers = [answer for answer in leaves(self._unpacked(made, module)) if isinstance(answer, Tensor)]
            if not holds or name in self.seen or not answers:
                return
            self._answered(name, answers[0], isinstance(module, nn.Linear), module)
            if isinstance(module, nn.RNNBase):
                directions = 2 if module.bidirectional else 1
                last = [self._array(each) for each in answers[1][-directions:]]
                self.seen[f"{name}/last"] = np.concatenate(last, axis=-1)

        return hook

    def _unpacked(self, value: Any, module: nn.Module) -> Any:
        """What a module is given or answers, sequences that are packed as tensors that end in zeros."""
        if isinstance(value, nn.utils.rnn.PackedSequence):
            with self._unwatched():
                return nn.utils.rnn.pad_packed_sequence(value, bool(getattr(module, "batch_first", True)))[0]
        return [self._unpacked(each, module) for each in value] if type(value) in (list, tuple) else value

    @staticmethod
    def _batch_first(module: nn.Module | None, array: NDArray[Any]) -> NDArray[Any]:
        ours = isinstance(module, nn.RNNBase | nn.MultiheadAttention) and not module.batch_first
        return array.swapaxes(0, 1) if ours and array.ndim == 3 else array

    @contextlib.contextmanager
    def _unwatched(self) -> Iterator[None]:
        """Meanwhile functions are ours, and not the module's."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    # --- tensors --------------------------------------------------------------------------------------------------

    def _tag(self, tensor: Tensor) -> Tag:
        return self._tags.get(id(tensor), (tensor, Tag("")))[1]

    def _put(self, tensor: Tensor, tag: Tag) -> None:
        self._tags[id(tensor)] = (tensor, tag)

    def begins(self, tensor: Tensor) -> None:
        """An input, which is no layer's answer."""
        self._sources[id(tensor)] = (tensor, "")

    def channels_first(self, tensor: Tensor) -> None:
        """An input that is given so."""
        self._put(tensor, Tag("first"))

    def _array(self, tensor: Tensor) -> NDArray[Any]:
        with self._unwatched():
            return np.array(tensor.detach().numpy())

    def common(self, tensor: Tensor) -> NDArray[Any]:
        """What a layer is given or makes in the common layout, channels last."""
        tag = self._tag(tensor)
        if tag.lies == "flat":
            array = self._array(tensor)
            return np.moveaxis(array.reshape(len(array), *tag.shape), 1, -1).reshape(array.shape)
        return self.answer(tensor)

    def _seen(self, tensor: Tensor, module: nn.Module | None) -> NDArray[Any]:
        """The same of a layer; a norm of the last axis alone, with no `forward` of its own, has that last."""
        last = (
            isinstance(module, nn.LayerNorm)
            and type(module).forward is nn.LayerNorm.forward
            and len(module.normalized_shape) == 1
        )
        return self._array(tensor) if last and self._tag(tensor).lies == "first" else self.common(tensor)

    def answer(self, tensor: Tensor) -> NDArray[Any]:
        """The same of the model's answer, behind which no kernel makes up for the order in which it was flattened."""
        array = self._array(tensor)
        return np.moveaxis(array, 1, -1) if self._tag(tensor).lies == "first" and array.ndim > 2 else array

    def as_answered(self, expected: Tensor, answer: Tensor) -> Tensor:
        """A target, channels last, as this answer lies."""
        with self._unwatched():
            return turned(expected, self.rank_first(answer))

    def rank_first(self, answer: Tensor) -> int:
        """How many axes an answer has that lies channels first; 0 for any other."""
        return answer.ndim if self._tag(answer).lies == "first" else 0

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
        told = f"{name} of {self._inside[-1]}" if self._inside else name
        if name in _DRAWS or (name == "scaled_dot_product_attention" and kwargs.get("dropout_p")):
            self.noises[told] = None
            made = made if self._deviations is None else _standing(name, made, args, kwargs, self._deviations)
        if torch.get_default_dtype() is torch.float64 and any(map(self._is_coarse, [made, *_tensors(args, kwargs)])):
            self.coarse[told] = None
        if stands := self._stands_for(name, args, kwargs):
            return self._layer(stands, name, args, kwargs, made)
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

    def _stands_for(self, name: str, args: Any, kwargs: Any) -> Given | None:
        """The layer that a function with arrays that no layer holds stands for; None for any other function."""
        kind, names, roles = _FUNCTIONS.get(name, ("", (), {}))
        given = dict(zip(names, args, strict=False)) | kwargs
        arrays = {role: id(given[theirs]) for theirs, role in roles.items() if given.get(theirs) is not None}
        if not arrays or not all(number in self._bare for number in arrays.values()):
            return None
        first, holder = self._bare[next(iter(arrays.values()))]
        settings = {ours: given.get(theirs, usual) for theirs, (ours, usual) in _SETTINGS.items() if theirs in names}
        return Given(first, kind, {role: self._bare[each][0] for role, each in arrays.items()}, settings, holder)

    def _layer(self, stands: Given, name: str, args: Any, kwargs: Any, made: Tensor) -> Tensor:
        """See to a function as to the layer that it stands for."""
        given = args[0] if args else kwargs["input"]
        if stands.name not in self.functions:
            self.functions[stands.name] = stands
            self.calls.append(("function", stands.name))
        self._given(stands.name, given, None, stands.kind in _SPATIAL_KINDS)
        self._follow(name, [given], made)
        if stands.name not in self.seen:
            self._answered(stands.name, made, stands.kind == "dense", None)
        return made

    def _order(self, function: Any, rank: int, args: Any, kwargs: Any) -> tuple[int, ...]:
        """Which axis of what it is given each axis of what such a function makes is: a tensor tells by its shape."""
        others = {name: value for name, value in kwargs.items() if name != "input"}
        with self._unwatched():
            made = function(torch.empty(*range(2, 2 + rank)), *(args if "input" in kwargs else args[1:]), **others)
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
        given = self._array(args[0]) if training and not self._still else None  # before it is changed in place
        made = function(*args, **kwargs)
        found = None
        called = self._inside[-1] if self._inside else f"{name} {len(self.dropouts)}"
        wide = tuple(range(2, made.ndim)) if name.startswith("feature") or name[-2:] in ("1d", "2d", "3d") else ()
        if given is not None:
            found = measured(given, self._array(made), wide, "alpha" in name)
        source = self._sources.get(id(args[0]))
        self.dropouts.append((Random(called, rate, bool(wide), source[1] if source else None), found))
        if source:
            self._sources[id(made)] = (made, source[1])
        self._put(made, self._tag(args[0]))
        return made

    def _follow(self, name: str, given: list[Tensor], made: Tensor) -> None:
        given = [tensor for tensor in given if self._tag(tensor).lies] or given
        tag = self._tag(given[0]) if given else Tag("")
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


def turned(expected: Tensor, rank: int) -> Tensor:
    """A target, channels last, for an answer that lies channels first and has so many axes; 0 for one that does not."""
    return expected.movedim(-1, 1).contiguous() if expected.ndim == rank > 2 else expected


_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TURNED_CONV = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_WEIGHED = {"weight": "kernel", "bias": "bias"}
_SCALED = {"weight": "gamma", "bias": "beta"}
_FUNCTIONS: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "linear": ("dense", ("input", "weight", "bias"), _WEIGHED),
    **{f"conv{rank}d": ("conv", _CONV, _WEIGHED) for rank in (1, 2, 3)},
    **{f"conv_transpose{rank}d": ("conv_transpose", _TURNED_CONV, _WEIGHED) for rank in (1, 2, 3)},
    "embedding": ("embedding", ("input", "weight", "padding_idx"), {"weight": "kernel"}),
    "layer_norm": ("layer_norm", ("input", "normalized_shape", "weight", "bias", "eps"), _SCALED),
    "group_norm": ("group_norm", ("input", "num_groups", "weight", "bias", "eps"), _SCALED),
}
"""Functions of torch that are given arrays: the kind of layer, its arguments in order, and the roles of its arrays."""
_SETTINGS: dict[str, tuple[str, Setting]] = {
    "stride": ("strides", 1),
    "padding": ("padding", 0),
    "dilation": ("dilation", 1),
    "groups": ("groups", 1),
    "output_padding": ("output_padding", 0),
    "padding_idx": ("padding_idx", None),
    "num_groups": ("groups", None),
    "eps": ("epsilon", 1e-5),
}

_SPATIAL_LAYERS = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
_SPATIAL_KINDS = ("conv", "conv_transpose", "group_norm")
_SPATIAL = ("conv", "pool", "interpolate", "upsample", "batch_norm", "instance_norm", "group_norm", "pixel_shuffle")
_TURNS = ("permute", "transpose", "swapaxes", "movedim", "moveaxis", "swapdims", "mT")
_RESHAPES = ("view", "reshape", "flatten", "unflatten", "ravel")
_MIXES = ("linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "einsum", "embedding")
_UNTOLD = {"size", "dim", "numel", "contiguous", "detach", "item", "clone", "is_floating_point", "to", "stride",
           "__len__", "__getitem__", "__setitem__",
           "data_ptr", "is_contiguous", "zero_grad", "requires_grad_"}  # fmt: skip


_DRAWS = ("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "normal", "normal_",
          "uniform_", "bernoulli", "bernoulli_", "exponential_", "multinomial", "rrelu")  # fmt: skip


def _standing(name: str, made: Tensor, args: Any, kwargs: Any, deviations: float) -> Tensor:
    """Normal numbers that were drawn as they are so many standard deviations above their mean; others as they are."""
    if name in ("randn", "randn_like"):
        return made.fill_(deviations)
    if name in ("normal", "normal_"):
        said = dict(zip(("mean", "std"), args[1:] if name == "normal_" else args, strict=False)) | kwargs
        return made.copy_(torch.as_tensor(said.get("mean", 0.0) + deviations * said.get("std", 1.0)))
    return made


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
