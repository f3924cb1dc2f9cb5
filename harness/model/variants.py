"""Models that are compared, as pure data: what is built, how it is trained, and how one is chosen among several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.model import proposed
from harness.model.architecture import Count, Estimator, Factors, Imported, Network
from harness.model.proposed import FACTOR
from harness.text import Name

Trains = Literal["all", "all-but-norms", "head"]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Decay = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Adam on the mean squared error, of classes on the mean cross-entropy, in Keras's formula: epsilon is added
    outside the bias correction.

    `trains` says what: `head` where the backbone stays frozen, its batch norms in inference mode; `all-but-norms` where
    its batch norms do, with their gammas and betas, and everything else is trained; else `all`. `augmented` says that
    each epoch shows every training image moved by a random element of each of the suite's exact symmetries, or of those
    that it names. `centred`, of a head, says that it is trained on features less their mean over the training images,
    scaled so that their variances add up to one. With `patience` training ends after so many epochs without a lower
    validation loss, and the weights of the epoch with the lowest are taken.

    Of classes, in their order: `class_weights` are what an image's cross-entropy is multiplied by, in the training loss
    and the validation loss, whose mean is over images, not over their weights; `resampled` says how many times as often
    as those of a class with 1 an epoch draws its training images, with replacement, as many in all as there are.
    """

    epochs: Count = 300
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    trains: Trains = "all"
    augmented: bool | tuple[Name, ...] = False
    patience: Count | msgspec.UnsetType = msgspec.UNSET
    centred: bool | msgspec.UnsetType = msgspec.UNSET
    class_weights: Factors | msgspec.UnsetType = msgspec.UNSET
    resampled: Factors | msgspec.UnsetType = msgspec.UNSET


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of a search: what was chosen, by the names of the search's axes, and the model that this makes; an
    estimator has no recipe.
    """

    choices: dict[Name, float]
    architecture: Network | Estimator
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if isinstance(self.architecture, Network) != (self.recipe is not None):
            raise ValueError("a network is trained by a recipe, and an estimator has none")


Method = Literal["grid", "halving", "optuna"]


class Search(msgspec.Struct, frozen=True, tag="search", forbid_unknown_fields=True):
    """A model that is chosen among configurations by its validation error, and by that alone.

    Configurations are trained anew for each try, in rounds. Of those tried longest, in the last round for at most
    `epochs`, the one with the lowest validation loss of any epoch is then trained by its whole recipe, and only that
    one meets the test images. `method` says how many rounds there are: `grid` has one, of all; `halving` goes on with
    the better third after each, for three times as many epochs (successive halving: Jamieson and Talwalkar 2016;
    numbers as scikit-learn's HalvingGridSearchCV has them); by `optuna` configurations come one after the other, as
    Optuna proposes them, each for as many of the same rounds as it is good (`proposed`). What is not trained by
    gradient has no epochs to save: it has a grid.
    """

    configurations: tuple[Configuration, ...]
    epochs: Count = 300
    method: Method = "grid"

    def __post_init__(self) -> None:
        if len({type(one.architecture) for one in self.configurations}) != 1:
            raise ValueError("a search is among networks, or among estimators: one configuration at least")

    @property
    def of_networks(self) -> bool:
        """Whether its configurations are networks; they are all of one kind."""
        return any(isinstance(one.architecture, Network) for one in self.configurations)

    @property
    def packages(self) -> tuple[str, ...]:
        """What must be installed for it besides what its backend needs, and what it tries depends on."""
        return ("optuna",) if self.method == "optuna" else ()

    @property
    def budget(self) -> int:
        """How many epochs of training a grid takes."""
        return sum(self.cost(number, self.epochs) for number in range(len(self.configurations)))

    def cost(self, number: int, epochs: int) -> int:
        """For how many epochs a configuration that is tried for so many is trained: its recipe may have fewer."""
        recipe = self.configurations[number].recipe
        return min(recipe.epochs, epochs) if recipe else 0

    def rounds(self) -> list[tuple[int, int]]:
        """How many configurations each round tries, which is not known of `optuna`'s later ones and told as if it were
        a halving, and for how many epochs.
        """
        counts = [len(self.configurations)]
        if self.method != "grid" and self.of_networks:
            while FACTOR ** len(counts) <= len(self.configurations):
                counts.append(math.ceil(counts[-1] / FACTOR))
        first = max(1, self.epochs // FACTOR ** (len(counts) - 1))
        rounds = [(count, first * FACTOR**number) for number, count in enumerate(counts)]
        return [(count, epochs) for count, epochs in rounds if epochs <= self.epochs]

    def tries(self, losses: Sequence[float], seed: int = 0) -> Iterator[tuple[int, int]]:
        """Configuration and epochs of each try, in order, given the validation losses of the tries so far: it ends
        after the first whose loss is not there, so whoever makes the tries adds the loss of each before asking for the
        next. The `seed` is `optuna`'s.
        """
        if self.method == "optuna" and len(self.rounds()) > 1:
            yield from proposed.tries(self, losses, seed)
            return
        candidates, made = list(range(len(self.configurations))), 0
        loss = dict.fromkeys(candidates, 0.0)
        for count, epochs in self.rounds():
            candidates = sorted(sorted(candidates, key=loss.__getitem__)[:count])
            for number in candidates:
                yield number, epochs
                if made == len(losses):
                    return
                loss[number] = losses[made]
                made += 1

    def epochs_of(self, tried: Sequence[int]) -> list[int]:
        """For how many epochs each of these tries was: the nth of a configuration is in the nth round."""
        lengths = [epochs for _, epochs in self.rounds()]
        return [lengths[tried[:place].count(number)] for place, number in enumerate(tried)]

    def selected(self, tried: Sequence[int], losses: Sequence[float]) -> int:
        """The configuration with the lowest of the validation losses among those of these tries that were longest."""
        epochs = self.epochs_of(tried)
        tries = zip(losses, tried, epochs, strict=True)
        return min((loss, number) for loss, number, length in tries if length == max(epochs))[1]


Architecture = Network | Estimator | Imported | Search


class Encoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done to an image before the model sees it, or to the model's answer after it: one of the suite's
    encodings (`Suite.encoder`) or decodings (`Suite.decoder`), by name.
    """

    name: Name
    parameters: dict[Name, float] = {}


class Variant(msgspec.Struct, frozen=True):
    """One model to be compared, as pure data. `recipes` are trained one after the other, each from where the last left
    off; empty where nothing is trained by gradient, and for a search, whose configurations have their own. Without an
    `encoding` the model sees the image, and without a `decoding` it answers the targets themselves. With `originals` it
    is trained on the first so many of the training images alone.
    """

    name: str
    summary: str
    architecture: Architecture
    recipes: tuple[Recipe, ...] = ()
    encoding: Encoding | None = None
    decoding: Encoding | None = None
    originals: int | msgspec.UnsetType = msgspec.UNSET


class Schedule(msgspec.Struct, frozen=True):
    """In which order the training images are shown: `order` (epochs, n_train), one permutation per epoch; of a recipe
    that is `resampled`, one draw with replacement.
    """

    order: NDArray[np.intp]
    batch_size: int

    @classmethod
    def drawn(
        cls, recipe: Recipe, n_train: int, seed: int, stage: int = 0, classes: NDArray[np.intp] | None = None
    ) -> Schedule:
        """The harness's own seeded order, the same for every backend; `stage` numbers a variant's recipes from 0.
        `classes` (n_train,) are those of the training images: a recipe that is `resampled` needs them.
        """
        draw = np.random.default_rng([seed, _BATCH_ORDER, stage])
        if recipe.resampled is msgspec.UNSET:
            order = np.stack([draw.permutation(n_train) for _ in range(recipe.epochs)])
        else:
            chances = np.array(recipe.resampled)[classes]
            order = draw.choice(n_train, (recipe.epochs, n_train), p=chances / chances.sum())
        return cls(order, recipe.batch_size)


_BATCH_ORDER = 2  # keeps this stream of random numbers apart from the others
