"""torch's optimizers in words, and by Keras's formulas: a difference that these explain is no mistake."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from harness.foreign import Setting

_ADAM = "Keras adds epsilon before the bias correction, torch after it"
_ROOT = "Keras adds epsilon below the root, torch beside it"
_RATE = "Keras has the rate inside the momentum, torch outside, which differ where the rate changes"
_LARGEST = "Keras adds epsilon to the largest gradient so far, torch to each before it is compared"
_FORMULAS = {"adam": _ADAM, "adamw": _ADAM, "rmsprop": _ROOT, "adagrad": _ROOT, "adamax": _LARGEST}
_UNKNOWN = ("centered", "dampening", "maximize", "lr_decay")


def formula_of(settings: dict[str, Setting], scheduled: bool) -> str:
    """In what Keras's formula is another; "" where it is the same, or nobody here knows."""
    name = str(settings["name"])
    unknown = any(settings.get(each) for each in _UNKNOWN)
    if name == "sgd":
        return _RATE if settings.get("momentum") and scheduled and not unknown else ""
    if name in ("rmsprop", "adagrad", "adamax") and (settings.get("momentum") or settings.get("weight_decay")):
        return ""
    return "" if unknown else _FORMULAS.get(name, "")


def as_keras(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer with Keras's formula, at the rates of this one's groups, which a schedule may change."""
    if isinstance(optimizer, torch.optim.SGD):
        return _KerasSGD(optimizer)
    if isinstance(optimizer, torch.optim.RMSprop | torch.optim.Adagrad):
        return _KerasRoot(optimizer)
    if isinstance(optimizer, torch.optim.Adamax):
        return _KerasAdamax(optimizer)
    done = 0

    def epsilon_of_this_step(*_: object) -> None:
        nonlocal done
        done += 1
        for group in optimizer.param_groups:
            group.setdefault("given eps", group["eps"])
            group["eps"] = group["given eps"] / math.sqrt(1 - group["betas"][1] ** done)

    optimizer.register_step_pre_hook(epsilon_of_this_step)
    return optimizer


class _Keras(torch.optim.Optimizer):
    """Steps the groups of another optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__([{"params": group["params"]} for group in optimizer.param_groups], {})
        self.param_groups = optimizer.param_groups  # so that rates are those of the schedule
        self._kept: dict[Tensor, Tensor] = {}
        self._moments: dict[Tensor, tuple[int, Tensor, Tensor]] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of every array that has a gradient, after the user's `closure`, whose loss it returns."""
        with torch.enable_grad():
            loss = closure() if closure else None
        for group in self.param_groups:
            for array in group["params"]:
                if array.grad is not None:
                    self.change(array, array.grad, group)
        return loss

    def change(self, array: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One step of one array."""
        raise NotImplementedError


class _KerasSGD(_Keras):
    """keras.optimizers.SGD.update_step."""

    def change(self, array: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """See `_Keras.change`."""
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * array
        moving = self._kept.get(array, torch.zeros_like(array)) * group["momentum"] - group["lr"] * gradient
        self._kept[array] = moving
        array += moving * group["momentum"] - group["lr"] * gradient if group["nesterov"] else moving


class _KerasRoot(_Keras):
    """keras.optimizers.RMSprop.update_step and Adagrad.update_step."""

    def change(self, array: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """See `_Keras.change`."""
        begin = torch.full_like(array, group.get("initial_accumulator_value", 0.0))
        squares = self._kept.get(array, begin)
        if "alpha" in group:
            squares = group["alpha"] * squares + (1 - group["alpha"]) * gradient**2
        else:
            squares = squares + gradient**2
        self._kept[array] = squares
        array -= group["lr"] * gradient / torch.sqrt(squares + group["eps"])


class _KerasAdamax(_Keras):
    """keras.optimizers.Adamax.update_step."""

    def change(self, array: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """See `_Keras.change`."""
        first, second = group["betas"]
        done, mean, largest = self._moments.get(array, (0, torch.zeros_like(array), torch.zeros_like(array)))
        done, mean = done + 1, mean + (gradient - mean) * (1 - first)
        largest = torch.maximum(second * largest, gradient.abs())
        self._moments[array] = done, mean, largest
        array -= group["lr"] * mean / ((1 - first**done) * (largest + group["eps"]))


_CALLED = {"eps": "epsilon", "alpha": "rho", "momentum": "momentum", "nesterov": "nesterov", "amsgrad": "amsgrad",
           "weight_decay": "weight_decay", "dampening": "dampening", "centered": "centered",
           "initial_accumulator_value": "initial_accumulator_value", "maximize": "maximize",
           "lr_decay": "lr_decay", "momentum_decay": "momentum_decay"}  # fmt: skip


def settings_of(optimizer: torch.optim.Optimizer) -> dict[str, Setting]:
    """An optimizer in words that are the same in both frameworks."""
    group = optimizer.param_groups[0]
    found: dict[str, Setting] = {"name": type(optimizer).__name__.lower()}
    if "betas" in group:
        found["beta_1"], found["beta_2"] = group["betas"]
    for theirs, ours in _CALLED.items():
        if group.get(theirs) not in (None, False, 0):
            found[ours] = group[theirs]
    return found
