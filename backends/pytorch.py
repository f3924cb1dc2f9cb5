"""PyTorch."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backends._torch_adam import KerasAdam
from backends._torch_backbones import TorchBackbone
from backends._torch_device import on_torch
from harness.errors import BenchError, NotExported
from harness.model import code
from harness.model.architecture import (
    Backbone,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Imported,
    Layer,
    MaxPool2D,
    Network,
    Shape,
    Weights,
    frozen_layers,
    named_layers,
    parameter_shapes,
)
from harness.model.variants import Recipe, Schedule, Trains, Variant
from harness.model.weights import check_fit
from harness.protocol import (
    Arrays,
    Classes,
    Counts,
    History,
    Images,
    OnEpoch,
    Precision,
    Scaling,
    Targets,
    Task,
    TrainingData,
)
from harness.text import Device

REQUIRES = ("torch", "torchvision", "onnxscript")
TRAINS = ("network", "torch")
COMPUTES_WITH = ("numpy", "torch", "torchvision")

_device = torch.device("cpu")


def configure(threads: int, device: Device, precision: Precision = "float32") -> dict[str, str]:
    """See `Backend.configure`."""
    global _device  # noqa: PLW0603  a process has one device, as it has one number of threads
    told = on_torch(threads, device)
    _device = torch.device("cpu" if device == "cpu" else "cuda")
    torch.set_default_dtype(getattr(torch, precision))
    return {
        "torch": str(torch.__version__),
        "precision": str(torch.get_default_dtype()).removeprefix("torch."),
        **told,
        "onednn": str(torch.backends.mkldnn.is_available()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def build(variant: Variant, task: Task, seed: int) -> TorchModel:
    """See `Backend.build`: torch's own Kaiming-uniform weights and uniform biases."""
    torch.manual_seed(seed)
    return TorchCode(variant, task, seed) if isinstance(variant.architecture, Imported) else TorchModel(variant, task)


class Permute(nn.Module):
    """Reorders dimensions: to channels-first at the door."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, values: Tensor) -> Tensor:
        """`values` with its dimensions in the new order."""
        return values.permute(self.order)


class FlattenChannelsLast(nn.Flatten):
    """To one vector, channel fastest, for the common layout's sake; a vector is one already."""

    def forward(self, values: Tensor) -> Tensor:
        """(batch, channel, height, width) or (batch, k) to (batch, k)."""
        return super().forward(values.permute(0, 2, 3, 1) if values.ndim == 4 else values)


def as_module(network: Network, input_shape: Shape) -> nn.Sequential:
    """The network on images (batch, height, width, channel), or on vectors; its children have the names of
    `named_layers`.
    """
    shapes = parameter_shapes(network, input_shape)
    module = nn.Sequential()
    if len(input_shape) == 3:
        module.add_module("channels_first", Permute(0, 3, 1, 2))
    for name, layer in named_layers(network):
        module.add_module(name, _layer(layer, shapes.get(f"{name}/kernel", ())))
        if isinstance(layer, Conv2D | Dense) and layer.activation == "relu":
            module.add_module(f"{name}_relu", nn.ReLU())
    return module


def _layer(layer: Layer, kernel: Shape) -> nn.Module:
    match layer:
        case Conv2D(filters, size, "periodic"):
            return PeriodicConv2d(kernel[2], filters, size)
        case Conv2D(filters, size, padding):
            return nn.Conv2d(kernel[2], filters, size, padding=padding)
        case Dense(units):
            return nn.Linear(kernel[0], units)
        case MaxPool2D(size):
            return nn.MaxPool2d(size)
        case Dropout(rate):
            return nn.Dropout(rate)
        case Flatten():
            return FlattenChannelsLast()
        case Backbone(family):
            return TorchBackbone(family)
        case GlobalAveragePool2D():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


class PeriodicConv2d(nn.Conv2d):
    """A convolution of odd kernel around a periodic image. torch's own circular padding exports to many more nodes."""

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channel, height, width) to (batch, filter, height, width)."""
        edge = self.kernel_size[0] // 2
        if edge:
            images = torch.cat([images[:, :, -edge:], images, images[:, :, :edge]], dim=2)
            images = torch.cat([images[..., -edge:], images, images[..., :edge]], dim=3)
        return super().forward(images)


def _physical(network: nn.Module, scaling: Scaling | Classes) -> nn.Module:
    """A network and, after it, the map from its outputs to physical units, or to probabilities: what is exported."""
    return Physical(network, scaling) if isinstance(scaling, Scaling) else nn.Sequential(network, nn.Softmax(dim=1))


class Physical(nn.Module):
    """A network of numbers, and these in physical units."""

    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scale", torch.tensor(scaling.scale, dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(scaling.offset, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """(batch, height, width, channel) images to (batch, t) targets in physical units."""
        physical: Tensor = self.network(images) * self.scale + self.offset
        return physical


class TorchModel:
    """A network in PyTorch; see `harness.protocol.Model`."""

    def __init__(self, variant: Variant, task: Task) -> None:
        assert isinstance(variant.architecture, Network)
        self._task = task
        self._shapes = parameter_shapes(variant.architecture, task.input_shape)
        self.module = as_module(variant.architecture, task.input_shape).to(_device)
        children = list(self.module.children())
        self._frozen = nn.Sequential()
        self._head = self.module
        if count := frozen_layers(variant.architecture):
            self._frozen = nn.Sequential(*children[: count + 1])  # the door to channels-first comes before them
            self._head = nn.Sequential(*children[count + 1 :])
        self._let_train(variant.recipes[-1].trains if variant.recipes else "all")

    def _let_train(self, what: Trains) -> nn.Sequential:
        """Let gradients reach what is to be trained; returns the head, or the network where there is more to it."""
        self.module.requires_grad_(True)
        for norm in [norm for layer in self.module if isinstance(layer, TorchBackbone) for norm in layer.norms()]:
            norm.still = what == "all-but-norms"
            norm.requires_grad_(not norm.still)
        if what != "head":
            return self.module
        self._frozen.requires_grad_(False)
        return self._head

    def counts(self) -> Counts:
        """See `Model.counts`. The moving statistics of batch norms, to torch buffers, are counted all the same."""
        layers: dict[str, int] = {}
        for name, layer in self.module.named_children():
            statistics = [tensor for buffer, tensor in layer.named_buffers() if "running" in buffer]
            if count := sum(tensor.numel() for tensor in (*layer.parameters(), *statistics)):
                layers[name] = count
        trainable = sum(tensor.numel() for tensor in self.module.parameters() if tensor.requires_grad)
        return Counts(trainable, sum(layers.values()) - trainable, layers)

    def _tensor(self, name: str) -> tuple[Tensor, tuple[int, ...]]:
        """The tensor behind an array of the common layout, and the order of its axes in that layout."""
        layer, *inner, part = name.split("/")
        module = self.module.get_submodule(layer)
        if isinstance(module, TorchBackbone):
            module = module.body.get_submodule(module.names[inner[0]])
        tensor: Tensor = getattr(module, _PARTS[part])
        return tensor, {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[tensor.ndim]

    def weights(self) -> Weights:
        """See `Model.weights`."""
        weights = {}
        for name in self._shapes:
            tensor, axes = self._tensor(name)
            weights[name] = tensor.detach().cpu().numpy().transpose(axes).copy()
        return weights

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.set_weights`."""
        check_fit(weights, self._shapes)
        with torch.no_grad():
            for name, array in weights.items():
                tensor, axes = self._tensor(name)
                values = np.asarray(array).transpose(np.argsort(axes))
                tensor.copy_(torch.from_numpy(np.asarray(values, order="C")))

    def features(self, images: Images) -> NDArray[np.float32]:
        """See `Model.features`."""
        if not len(self._frozen):
            raise NotImplementedError("a network without a backbone has no frozen layers")
        features: NDArray[np.float32] = _outputs(self._frozen, _on_device(images)).cpu().numpy()
        return features

    def activations(self, images: Images) -> Arrays:
        """See `Model.activations`."""
        found: Arrays = {}
        with contextlib.ExitStack() as hooks:
            for name, module in self._layers():
                hooks.enter_context(module.register_forward_hook(partial(_keep, found, name)))
            _outputs(self.module, _on_device(images))
        return found

    def _layers(self) -> Iterator[tuple[str, nn.Module]]:
        """Each layer's name and the module whose output is its output."""
        children = dict(self.module.named_children())
        for name in [name for name in children if not name.endswith(("_relu", "channels_first"))]:
            layer = children[name]
            if isinstance(layer, TorchBackbone):
                yield f"{name}/preprocessing", layer.preprocessing
                for inner, place in layer.outputs.items():
                    yield f"{name}/{inner}", layer.body.get_submodule(place)
            yield name, children.get(f"{name}_relu", layer)

    def loss_and_gradients(self, images: Images, targets: Targets, recipe: Recipe) -> tuple[float, Arrays]:
        """See `Model.loss_and_gradients`."""
        module = self._let_train(recipe.trains).train()
        self.module.zero_grad()
        scaling = self._task.scaling
        criterion = _criterion(scaling, recipe)
        loss = _batch_loss(module, _on_device(images), _on_device(scaling.to_network(targets)), criterion)
        loss.backward()
        tensors = {name: self._tensor(name) for name in self._shapes}
        gradients = {
            name: tensor.grad.cpu().numpy().transpose(axes)
            for name, (tensor, axes) in tensors.items()
            if tensor.grad is not None
        }
        return loss.item(), gradients

    def train(self, data: TrainingData, recipe: Recipe | None, schedule: Schedule | None, on_epoch: OnEpoch) -> History:
        """See `Model.train`."""
        assert recipe is not None
        assert schedule is not None
        module = self._let_train(recipe.trains)
        scaling = self._task.scaling
        criterion = _criterion(scaling, recipe)
        validation = _on_device(data.validation_images), _on_device(scaling.to_network(data.validation_targets))
        adam = KerasAdam(module.parameters(), recipe)
        losses, validation_losses = [], []
        begin = time.perf_counter()
        for epoch, order in enumerate(schedule.order, 1):
            if epoch == 1 or data.moved:
                shown = data.shown(epoch - 1)
                images, targets = _on_device(shown[0]), _on_device(scaling.to_network(shown[1]))
            losses.append(_train_epoch(module, images, targets, order, schedule.batch_size, adam, criterion))
            validation_losses.append(_loss(module, *validation, criterion))
            if on_epoch(epoch, losses[-1], validation_losses[-1]):
                break
        return History(tuple(losses), tuple(validation_losses), time.perf_counter() - begin)

    def predict(self, images: Images) -> Targets:
        """See `Model.predict`."""
        return self._task.scaling.to_physical(_outputs(self.module, _on_device(images)).cpu().numpy())

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        model = _physical(self.module, self._task.scaling).cpu().eval()
        example = torch.zeros((2, *self._task.input_shape))
        torch.onnx.export(
            model,
            (example,),
            path,
            dynamo=True,
            opset_version=18,
            input_names=["images"],
            output_names=["prediction"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
        self.module.to(_device)


class TorchCode(TorchModel):
    """A module that is somebody's own code. It takes images as torch has them, (batch, channel, height, width); its
    arrays have torch's own names and layout.
    """

    def __init__(self, variant: Variant, task: Task, seed: int) -> None:
        assert isinstance(variant.architecture, Imported)
        self._task, path = task, variant.architecture.path
        module = nn.Sequential()
        if len(task.input_shape) == 3:
            module.add_module("channels_first", Permute(0, 3, 1, 2))
        module.add_module("model", code.make(path, task.input_shape, len(task.targets), seed, torch.manual_seed))
        self.module, self._frozen, self._head = module.to(_device), nn.Sequential(), module
        with torch.no_grad():  # not in inference mode, in which lazy layers would get arrays that never train
            for count in (2, 1):
                answers = self.module.eval()(_on_device(np.zeros((count, *task.input_shape))))
                code.refuse_other_answers(path, answers, count, len(task.targets))
        tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        self._shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.is_floating_point()}
        if any(tensor.is_complex() for tensor in module.parameters()):
            raise BenchError(f"{path}: has complex parameters, which are not trained here: make them of two real ones")
        if not any(tensor.requires_grad for tensor in module.parameters()):
            raise BenchError(f"{path}: has no parameter to train: none, or all with requires_grad False")

    def _let_train(self, what: Trains) -> nn.Sequential:
        """What its own code has frozen stays frozen."""
        return self.module

    def _tensor(self, name: str) -> tuple[Tensor, tuple[int, ...]]:
        owner, _, part = name.rpartition(".")
        tensor: Tensor = getattr(self.module.get_submodule(owner), part)  # now, for a buffer may have been replaced
        return tensor, tuple(range(tensor.ndim))

    def activations(self, images: Images) -> Arrays:
        """Raise NotImplementedError: its layers are not known."""
        raise NotImplementedError("the layers of somebody's code are not known")

    def export(self, path: Path) -> None:
        """See `Model.export`."""
        try:
            super().export(path)
        except OSError:  # a full disk is no fault of the code
            raise
        except Exception as error:  # whatever torch's exporter raises over what it cannot write
            raise NotExported(f"torch's exporter: {code.first_line(error)}") from error


_PARTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_PREDICTED_AT_A_TIME = 128


Criterion = Callable[[Tensor, Tensor], Tensor]


def _criterion(scaling: Scaling | Classes, recipe: Recipe) -> Criterion:
    """The mean loss of a network's answers (n, t) to targets (n, t) as it is trained on them."""
    if isinstance(scaling, Scaling):
        return nn.functional.mse_loss
    if recipe.class_weights is msgspec.UNSET:
        return nn.functional.cross_entropy
    # Of probabilities torch takes the mean over images; of indices of classes it would be over their weights.
    return partial(nn.functional.cross_entropy, weight=_on_device(np.array(recipe.class_weights)))


def _train_epoch(
    module: nn.Module,
    images: Tensor,
    targets: Tensor,
    order: NDArray[np.intp],
    batch_size: int,
    adam: KerasAdam,
    criterion: Criterion,
) -> float:
    """The mean loss over samples, each counted with the weights its batch was seen with."""
    module.train()
    total = torch.zeros((), dtype=torch.float64, device=_device)
    for batch in torch.from_numpy(order).to(_device).split(batch_size):
        adam.zero_grad()
        loss = _batch_loss(module, images[batch], targets[batch], criterion)
        loss.backward()
        adam.step()
        total += loss.detach() * len(batch)
    return total.item() / len(order)


def _batch_loss(module: nn.Module, images: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
    return criterion(module(images), targets)


def _loss(module: nn.Module, images: Tensor, targets: Tensor, criterion: Criterion) -> float:
    return criterion(_outputs(module, images), targets).item() if len(images) else math.nan


def _outputs(module: nn.Module, images: Tensor) -> Tensor:
    module.eval()
    with torch.inference_mode():
        parts = [module(part) for part in images.split(_PREDICTED_AT_A_TIME)]
        return torch.cat(parts).to(torch.get_default_dtype())  # somebody's code may answer in less


def _keep(found: Arrays, name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
    """Note a copy of a layer's output, for what follows may overwrite it in place; channels last."""
    output = output.permute(0, 2, 3, 1) if output.ndim == 4 else output
    found[name] = output.cpu().numpy().copy()


def _on_device(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(_device, torch.get_default_dtype())
