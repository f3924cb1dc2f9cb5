"""Grad-CAM in PyTorch (Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
localization", ICCV).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.protocol import Images


def maps(model: Any, layer: str, images: Images) -> NDArray[Any]:
    """(n, h, w, t) of images (n, height, width, channel) the map of each of the t answers of the network, before any
    scaling or softmax, by what `layer` gives, (h, w, ...), in inference mode. `model` is a `TorchModel`.
    """
    before, after = _cut(model.module.eval(), layer)
    device = next(model.module.parameters()).device
    shown = torch.from_numpy(np.ascontiguousarray(images)).to(device, torch.get_default_dtype())
    with torch.no_grad():
        activations = before(shown)
    answers = after(activations.requires_grad_())
    found = []
    for answer in answers.unbind(dim=1):  # of each image by itself: in inference mode none depends on the others
        (gradients,) = torch.autograd.grad(answer.sum(), activations, retain_graph=True)
        found.append(_map(activations.detach(), gradients))
    return torch.stack(found, dim=-1).cpu().numpy()


def _cut(module: nn.Sequential, layer: str) -> tuple[nn.Module, nn.Module]:
    """The network up to a layer, its activation function included, and what comes after it."""
    names = [name for name, _ in module.named_children()]
    last = f"{layer}_relu" if f"{layer}_relu" in names else layer
    place = names.index(last) + 1
    return module[:place], module[place:]


def _map(activations: Tensor, gradients: Tensor) -> Tensor:
    """(n, h, w) of activations and gradients (n, channel, h, w): equations 1 and 2."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return torch.relu((weights * activations).sum(dim=1))
