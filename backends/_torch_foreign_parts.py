"""Kinds of torch's layers, in the words of `harness.foreign.Part`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from harness.foreign import Array, Part, Setting, Step

if TYPE_CHECKING:
    from backends._torch_layouts import Layouts

_WHOLE = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)


def is_leaf(module: nn.Module) -> bool:
    """Whether a module holds arrays itself, and is to be looked at as one."""
    return isinstance(module, _WHOLE) or any(True for _ in _own(module))


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
    match module:
        case nn.Linear():
            arrays = inside.arrays(kernel=("weight", _turned(2)), bias=("bias", ()))
            return [Part(name, "dense", arrays, {}, name, flattened, unflattened)]
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            rank = module.weight.ndim
            arrays = inside.arrays(kernel=("weight", _turned(rank)), bias=("bias", ()))
            return [Part(name, "conv_transpose", arrays, _settings(module), name)]
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            arrays = inside.arrays(kernel=("weight", _turned(module.weight.ndim)), bias=("bias", ()))
            return [Part(name, "conv", arrays, _settings(module), name)]
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            arrays = inside.arrays(
                gamma=("weight", ()),
                beta=("bias", ()),
                moving_mean=("running_mean", ()),
                moving_variance=("running_var", ()),
            )
            return [Part(name, "batch_norm", arrays, _settings(module), name, flattened)]
        case nn.LayerNorm():
            rank = len(module.normalized_shape)
            whole = watch.lies.get(name) == "first" and rank == watch.ranks[name] - 1
            steps = (Step("transpose", (*range(1, rank), 0)),) if whole and rank > 1 else ()
            arrays = inside.arrays(gamma=("weight", steps), beta=("bias", steps))
            return [Part(name, "layer_norm", arrays, _settings(module), name, flattened)]
        case nn.GroupNorm():
            return [
                Part(
                    name, "group_norm", inside.arrays(gamma=("weight", ()), beta=("bias", ())), _settings(module), name
                )
            ]
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
            kinds = {own: "own" if own in module._parameters else "constant" for own in _own(module)}
            return [
                Part(inside.full(own), kind, {own: inside.array(own)}, {}, name if kind == "own" else "")
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
        trained = tensor.requires_grad
        return Array(full, tuple(tensor.shape), steps, trained)

    def has(self, own: str) -> bool:
        """Whether it is there."""
        module, _, last = own.rpartition(".")
        held = self._module.get_submodule(module)
        return getattr(held, last, None) is not None

    def arrays(self, **roles: tuple[str, tuple[Step, ...]]) -> dict[str, Array]:
        """Those that are there, by role."""
        return {role: self.array(own, *steps) for role, (own, steps) in roles.items() if self.has(own)}


def _turned(rank: int) -> tuple[Step, ...]:
    """A kernel, outputs and inputs first, with these last."""
    return (Step("transpose", (*range(2, rank), 1, 0)),)


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
    momentum = getattr(module, "momentum", None)
    if isinstance(momentum, float):
        found["momentum"] = 1 - momentum  # what is kept, as Keras says it
    return found
