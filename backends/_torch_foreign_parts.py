"""Kinds of torch's layers, in the words of `harness.foreign.Part`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from harness.foreign import Array, Part, Setting, Step

if TYPE_CHECKING:
    from backends._torch_layouts import Given, Layouts

_WHOLE = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
_NORMS = (nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_KNOWN = (*_WHOLE, *_NORMS, nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.Embedding, nn.PReLU)


def is_leaf(module: nn.Module) -> bool:
    """Whether a module holds arrays itself, or is a norm, which might, and is to be looked at as one."""
    return isinstance(module, _WHOLE + _NORMS) or any(True for _ in _own(module))


def is_looked_through(module: nn.Module) -> bool:
    """Whether it holds arrays beside layers of torch, which are to be looked at as well."""
    return not isinstance(module, _KNOWN) and any(True for _ in module.children())


def bare(model: nn.Module) -> dict[int, tuple[str, str]]:
    """Of each array that no layer of torch holds: by its number, its name and that of the module which does."""
    layers = [module for module in model.modules() if isinstance(module, _KNOWN)]
    held = {id(tensor) for module in layers for tensor in module._parameters.values()}
    named = model.named_parameters()
    return {id(tensor): (name, name.rpartition(".")[0]) for name, tensor in named if id(tensor) not in held}


def of_function(given: Given, model: nn.Module, watch: Layouts) -> Part:
    """A function of torch with arrays that no layer holds, as the layer that it stands for."""
    natives = native_arrays(model)
    arrays = {}
    for role, name in given.arrays.items():
        turned = role == "kernel" and given.kind != "embedding"
        arrays[role] = _array(name, natives[name], *(_turned(natives[name].ndim) if turned else ()))
    flattened, unflattened = watch.flattened.get(given.name, ()), watch.unflattened.get(given.name, ())
    return Part(given.name, given.kind, arrays, given.settings, given.name, flattened, unflattened, holder=given.holder)


def _own(module: nn.Module) -> list[str]:
    found = [name for name, tensor in module._parameters.items() if tensor is not None]
    found += [name for name, tensor in module._buffers.items() if tensor is not None and tensor.is_floating_point()]
    return found


def native_arrays(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and every buffer of real numbers, by its name."""
    buffers = {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    return dict(model.named_parameters()) | buffers


def parts_of(name: str, module: nn.Module, model: nn.Module, watch: Layouts) -> list[Part]:
    """A module as parts; of what is no known kind, each array is one."""
    inside = _Within(name, module, native_arrays(model))
    flattened, unflattened = watch.flattened.get(name, ()), watch.unflattened.get(name, ())
    if _is_computed(module):
        return _computed(inside, module)
    match module:
        case nn.Linear():
            arrays = inside.arrays(kernel=("weight", _turned(2)), bias=("bias", ()))
            return [Part(name, "dense", arrays, {}, name, flattened, unflattened)]
        case nn.modules.conv._ConvNd():
            kind = "conv_transpose" if isinstance(module, nn.modules.conv._ConvTransposeNd) else "conv"
            arrays = inside.arrays(kernel=("weight", _turned(module.weight.ndim)), bias=("bias", ()))
            return [Part(name, kind, arrays, _settings(module), name)]
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            return [Part(name, "batch_norm", inside.arrays(**_MOVING), _settings(module), name, flattened)]
        case nn.LayerNorm():
            rank = len(module.normalized_shape)
            whole = watch.lies.get(name) == "first" and rank == watch.ranks[name] - 1
            steps = (Step("transpose", (*range(1, rank), 0)),) if whole and rank > 1 else ()
            arrays = inside.arrays(gamma=("weight", steps), beta=("bias", steps))
            return [Part(name, "layer_norm", arrays, _settings(module), name, flattened)]
        case nn.GroupNorm() | nn.modules.instancenorm._InstanceNorm():
            return [Part(name, "group_norm", inside.arrays(**_MOVING), _settings(module), name)]
        case nn.Embedding():
            return [Part(name, "embedding", inside.arrays(kernel=("weight", ())), _settings(module), name)]
        case nn.PReLU():
            return [Part(name, "prelu", inside.arrays(alpha=("weight", ())), {}, name)]
        case nn.RNNBase():
            return _recurrent(inside, module)
        case nn.RNNCellBase():
            return [_cell(inside, type(module).__name__.removesuffix("Cell").lower(), name, "", {}, name)]
        case nn.MultiheadAttention():
            return _attention(inside, module)
        case _:
            return [each for each in _own_parts(inside, module) if each.name not in watch.taken]


def _own_parts(inside: _Within, module: nn.Module) -> list[Part]:
    """Each array of a module of no known kind, as root mean square norms are, with what these call epsilon."""
    epsilon = getattr(module, "eps", None)
    if epsilon is None and isinstance(module, nn.RMSNorm):  # which then takes what separates one from the next number
        epsilon = torch.finfo(module.weight.dtype).eps
    settings: dict[str, Setting] = {"epsilon": epsilon} if isinstance(epsilon, float) else {}
    kinds = {own: "own" if own in module._parameters else "constant" for own in _own(module)}
    return [
        Part(inside.full(own), kind, {own: inside.array(own)}, settings, inside.name if kind == "own" else "")
        for own, kind in kinds.items()
    ]


class _Within:
    """Arrays of one module."""

    def __init__(self, name: str, module: nn.Module, natives: dict[str, Tensor]) -> None:
        self.name, self._module, self._natives = name, module, natives

    def full(self, own: str) -> str:
        """The name of an array in the whole model."""
        return f"{self.name}.{own}" if self.name else own

    def array(self, own: str, *steps: Step) -> Array:
        """One of its arrays."""
        full = self.full(own)
        tensor = self._natives.get(full)
        if tensor is None:  # shared with another module, under whose name it is
            mine = self._module.get_parameter(own)
            full, tensor = next((name, each) for name, each in self._natives.items() if each is mine)
        return _array(full, tensor, *steps)

    def has(self, own: str) -> bool:
        """Whether it is there."""
        module, _, last = own.rpartition(".")
        held = self._module.get_submodule(module)
        return getattr(held, last, None) is not None

    def arrays(self, **roles: tuple[str, tuple[Step, ...]]) -> dict[str, Array]:
        """Those that are there, by role."""
        return {role: self.array(own, *steps) for role, (own, steps) in roles.items() if self.has(own)}


def _array(name: str, tensor: Tensor, *steps: Step) -> Array:
    frozen = isinstance(tensor, nn.Parameter) and not tensor.requires_grad and tensor.numel() > 0
    first = tensor.detach().flatten()[0] if frozen else None
    constant = float(first) if first is not None and bool(torch.eq(tensor, first).all()) else None
    return Array(name, tuple(tensor.shape), steps, tensor.requires_grad, constant)


def _is_computed(module: nn.Module) -> bool:
    """Whether a layer's arrays are computed of others, by torch's parametrizations or by the hooks that were before."""
    by_hooks = any(own.endswith(("_orig", "_g")) for own in module._parameters)
    return isinstance(module, _KNOWN) and (by_hooks or is_parametrized(module))


def _computed(inside: _Within, module: nn.Module) -> list[Part]:
    """A layer whose arrays are computed of others, as weight normalisation and spectral normalisation do: each of these
    is a part, a kernel as Keras would have it.
    """
    held = [*module.named_parameters(), *module.named_buffers()]
    return [
        Part(
            inside.full(own),
            "own" if isinstance(tensor, nn.Parameter) else "constant",
            {own.rpartition(".")[2]: inside.array(own, *(_turned(tensor.ndim) if tensor.ndim > 1 else ()))},
            {},
            inside.name,
        )
        for own, tensor in held
        if tensor.is_floating_point()
    ]


def _turned(rank: int) -> tuple[Step, ...]:
    """A kernel, outputs and inputs first, with these last."""
    return (Step("transpose", (*range(2, rank), 1, 0)),)


_MOVING: dict[str, tuple[str, tuple[Step, ...]]] = {
    "gamma": ("weight", ()),
    "beta": ("bias", ()),
    "moving_mean": ("running_mean", ()),
    "moving_variance": ("running_var", ()),
}


def _recurrent(inside: _Within, module: nn.RNNBase) -> list[Part]:
    """Each layer and direction."""
    kind = module.mode.partition("_")[0].lower()
    suffixes = ["", "_reverse"] if module.bidirectional else [""]
    places = [f"l{layer}{suffix}" for layer in range(module.num_layers) for suffix in suffixes]
    settings: dict[str, Setting] = {"batch_first": module.batch_first, "layers": module.num_layers}
    if kind == "gru":
        settings["reset_after"] = True
    return [
        _cell(
            inside,
            kind,
            f"{inside.name}/{place}" if len(places) > 1 else inside.name,
            f"_{place}",
            settings,
            inside.name if place == places[-1] else "",
        )
        for place in places
    ]


def _cell(inside: _Within, kind: str, name: str, suffix: str, settings: dict[str, Setting], output: str) -> Part:
    roles = {"kernel": "weight_ih", "recurrent": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}
    arrays = {}
    for role, own in roles.items():
        if not inside.has(own + suffix):
            continue
        shape = inside.array(own + suffix).shape
        steps: tuple[Step, ...] = ()
        if kind == "gru":  # reset, update, new; Keras has update, reset, new
            steps = Step("reshape", (3, shape[0] // 3, *shape[1:])), Step("take", (1, 0, 2), 0), Step("reshape", shape)
        if len(shape) == 2:
            steps = (*steps, Step("transpose", (1, 0)))
        arrays[role] = inside.array(own + suffix, *steps)
    return Part(name, kind, arrays, settings, output)


def _attention(inside: _Within, module: nn.MultiheadAttention) -> list[Part]:
    """Four projections, of which torch keeps three in one array."""
    size, found = module.embed_dim, []
    settings: dict[str, Setting] = {"heads": module.num_heads, "batch_first": module.batch_first}
    for place, part in enumerate(("query", "key", "value")):
        rows = Step("take", tuple(range(place * size, (place + 1) * size)), 0)
        if inside.has("in_proj_weight"):
            kernel = inside.array("in_proj_weight", rows, Step("transpose", (1, 0)))
        else:
            kernel = inside.array(f"{part[0]}_proj_weight", Step("transpose", (1, 0)))
        arrays = {"kernel": kernel}
        if inside.has("in_proj_bias"):
            arrays["bias"] = inside.array("in_proj_bias", rows)
        found.append(Part(f"{inside.name}/{part}", "dense", arrays))
    output = inside.arrays(kernel=("out_proj.weight", _turned(2)), bias=("out_proj.bias", ()))
    return [*found, Part(f"{inside.name}/output", "dense", output, settings, inside.name)]


_TOLD = {"stride": "strides", "padding": "padding", "dilation": "dilation", "groups": "groups", "eps": "epsilon",
         "num_groups": "groups", "padding_mode": "padding_mode", "output_padding": "output_padding",
         "padding_idx": "padding_idx", "ceil_mode": "ceil_mode"}  # fmt: skip


def _settings(module: nn.Module) -> dict[str, Setting]:
    """What of a layer explains a difference, in words that are the same in all frameworks."""
    found: dict[str, Setting] = {}
    for theirs, ours in _TOLD.items():
        value = getattr(module, theirs, None)
        if value is not None:
            found[ours] = value
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):  # which Keras has as a group for each channel
        more = {"groups": module.num_features, "track_running_stats": module.track_running_stats}
        found |= {"affine": module.affine, **more}
    momentum = getattr(module, "momentum", None)
    if isinstance(momentum, float):
        found["momentum"] = 1 - momentum  # what is kept, as Keras says it
    return found
