"""`bench weights make`: backbones that are trained on a suite's own endless data, for others to start from.

Images are drawn and labelled a thousand at a time, on all cores, and kept; a backbone is kept after each of its
recipes. So whoever interrupts it goes on where it was, at most a recipe's work before.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness import disk, provenance, registry
from harness.environment import observe, usable_cores
from harness.errors import KEPT, BenchError, Unavailable
from harness.judging.metrics import accuracy
from harness.judging.records import Settings
from harness.model import cards
from harness.model.architecture import Backbone, Dense, GlobalAveragePool2D, Network, initial_weights
from harness.model.backbones import Family
from harness.model.cards import Card
from harness.model.variants import Recipe, Schedule, Variant
from harness.model.weights import load_weights, save_weights
from harness.protocol import Backend, Dataset, History, Images, Model, Pretraining, Split, Suite, Targets, TrainingData
from harness.running.data import task
from harness.running.launch import device_variables
from harness.running.view import View, view
from harness.running.worker import now
from harness.signals import let_interrupts_through
from harness.text import Device, label

AT_A_TIME = 1000
"""Images that are drawn at a time, and that an epoch of pretraining shows."""


class Making(msgspec.Struct, frozen=True):
    """What `bench weights make` was asked for; `results` is the folder that weights and cards come to lie below."""

    suite: str
    families: tuple[Family, ...]
    count: int
    seed: int
    backend: str
    device: Device
    results: Path


# Called with a line of what is being done, to be shown in the last one's place.
Tell = Callable[[str], None]


def make(making: Making, tell: Tell) -> Iterator[tuple[Path, Card]]:
    """The weights of each family, and their card, as they are made. Raises BenchError where the suite has no such data,
    where some of them are in a data set, where backend or device are missing, where another one makes them, where
    drawing is killed, and where a training diverges.
    """
    suite = registry.suite(making.suite)
    if suite.PRETRAINING is None:
        raise BenchError(f"suite={making.suite}: this suite draws no data to train backbones on")
    if lacking := registry.missing(making.backend):
        raise BenchError(f"backend={making.backend}: {' and '.join(lacking)} not installed")
    os.environ.update(device_variables(making.device))
    try:
        backend = registry.backend(making.backend)
        framework = backend.configure(usable_cores(), making.device)
    except Unavailable as error:
        raise BenchError(f"device={making.device}: {error}") from None
    kept = making.results / "cache" / "pretraining" / _key(making, suite.PRETRAINING)
    kept.mkdir(parents=True, exist_ok=True)
    with _alone_in(kept):
        disk.sweep(kept)
        dataset = _drawn(making, suite.PRETRAINING, kept, tell)
        tell("looking for its images in the data sets of all suites")
        if found := in_data_sets(dataset.images):
            told = f"{found} of the images drawn with seed={making.seed} are in a data set: choose another seed"
            raise BenchError(told)
        for family in making.families:
            yield _Pretrained(making, suite, backend, framework, dataset, kept, tell).make(family)


@contextlib.contextmanager
def _alone_in(kept: Path) -> Iterator[None]:
    """Hold what is kept for one making at a time. Raises BenchError where another one holds it."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(disk.alone(kept / "make.lock", wait=False))
        except BlockingIOError:
            raise BenchError(f"{kept}: another `bench weights make` is at work here: wait for it") from None
        yield


def _key(making: Making, pretraining: Pretraining) -> str:
    """Of what the images follow from."""
    told = f"{provenance.source_of_drawing(making.suite)} {making.seed} {AT_A_TIME}"
    return f"{pretraining.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


# --- data ---------------------------------------------------------------------------------------------------------


def _drawn(making: Making, pretraining: Pretraining, folder: Path, tell: Tell) -> Dataset:
    """The images to train on, and as many as are drawn at a time to validate and to test on, at their end."""
    files = [folder / f"images-{number:04}.npz" for number in range(making.count // AT_A_TIME + 1)]
    parts = {file: _loaded(file) for file in files}
    missing = [file for file, part in parts.items() if part is None]
    done = len(files) - len(missing)
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("spawn"), _as_a_child) as pool:
        # Each part has a seed of its own, apart from those of any other `seed=`.
        seeds = {file: making.seed * 10**5 + number for number, file in enumerate(files)}
        try:
            jobs = {pool.submit(_draw, making.suite, AT_A_TIME, seeds[file], file): file for file in missing}
            for job in as_completed(jobs):
                job.result()
                parts[jobs[job]] = _loaded(jobs[job])
                done += 1
                tell(f"{done * AT_A_TIME:,} of {len(files) * AT_A_TIME:,} images drawn and labelled")
        except BrokenProcessPool:
            raise BenchError(
                f"a process that drew images was killed: the system was out of memory, perhaps; {KEPT}"
            ) from None
        except BaseException:  # what was drawn is kept; nobody waits for what was not
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.kill()
            raise
    if unreadable := [str(file) for file, part in parts.items() if part is None]:
        raise BenchError(f"{unreadable[0]}: what was written there cannot be read again")
    like = pretraining.draw(1, 0)  # whose targets have the same names, in the same units
    images, targets = (np.concatenate(arrays) for arrays in zip(*filter(None, parts.values()), strict=True))
    return msgspec.structs.replace(
        like, name=pretraining.name, images=images, targets=targets, ids=tuple(map(str, range(len(images)))), kinds=()
    )


def _as_a_child() -> None:
    """Ends with the process that started this one, however that ends, and at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    let_interrupts_through()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _draw(suite: str, count: int, seed: int, path: Path) -> None:
    pretraining = registry.suite(suite).PRETRAINING
    assert pretraining is not None
    part = pretraining.draw(count, seed)
    with disk.replacing(path) as fresh:
        np.savez_compressed(fresh, images=np.rint(part.images * 255).astype(np.uint8), targets=part.targets)


def _loaded(path: Path) -> tuple[Images, Targets] | None:
    """What is kept in a file; None where it is absent or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as part:
            return part["images"].astype(np.float32) / np.float32(255), part["targets"]
    except Exception:  # what a damaged archive raises depends on which of its bytes are damaged
        return None


def in_data_sets(images: Images) -> int:
    """How many of these images are in a data set that a suite ships, by what they look like in 256 grey levels."""
    return len({_seen(image) for image in images} & _shipped())


@cache
def _shipped() -> set[bytes]:
    """What all suites' images look like."""
    datasets = (registry.suite(name).load(None, {}) for name in registry.with_data())
    return {_seen(image) for dataset in datasets for image in dataset.images}


def _seen(image: Images) -> bytes:
    return hashlib.sha256(repr(image.shape).encode() + np.rint(image * 255).astype(np.uint8).tobytes()).digest()


# --- training -----------------------------------------------------------------------------------------------------


class _Pretrained(NamedTuple):
    """Trains backbones on one data set."""

    making: Making
    suite: Suite
    backend: Backend
    framework: dict[str, str]
    dataset: Dataset
    kept: Path
    tell: Tell

    def make(self, family: Family) -> tuple[Path, Card]:
        """A backbone's file and its card, in their place."""
        making, pretraining = self.making, self.suite.PRETRAINING
        assert pretraining is not None
        rows = np.arange(len(self.dataset.images))
        held_out = AT_A_TIME // 2
        split = Split(
            rows[: making.count],
            rows[making.count : making.count + held_out],
            {"test": rows[making.count + held_out :]},
        )
        model, history = self._train(family, pretraining.recipes, split)
        folder = making.results / cards.FOLDER / pretraining.name
        folder.mkdir(parents=True, exist_ok=True)
        file, prefix = cards.weights_file(folder, family), "backbone_1/"
        backbone = {name.removeprefix(prefix): a for name, a in model.weights().items() if name.startswith(prefix)}
        test, train = self.dataset.targets[split.test], self.dataset.targets[split.train]
        predictions = model.predict(self.dataset.images[split.test])
        found = accuracy(predictions, test, train.mean(axis=0), self.dataset.target_names)
        disk.sweep(folder)
        with disk.replacing(file) as fresh:
            save_weights(fresh, backbone)
        card = Card(
            weights=pretraining.name,
            family=family,
            sha256=cards.sha256(file),
            suite=making.suite,
            data=pretraining.sentence,
            count=making.count,
            seed=making.seed,
            data_hash=self.dataset.fingerprint(),
            recipes=pretraining.recipes,
            backend=making.backend,
            device=making.device,
            skill=found.skill,
            validation_loss=history.validation_loss,
            seconds=round(history.seconds, 1),
            made=now(),
            framework={name: label(value) for name, value in self.framework.items()},
            environment=observe(),
        )
        disk.write_whole(
            cards.card_file(folder, family), msgspec.json.format(msgspec.json.encode(card)).decode() + "\n"
        )
        return file, card

    def _train(self, family: Family, recipes: tuple[Recipe, ...], split: Split) -> tuple[Model, History]:
        """The trained model, and how it went; what an earlier call has trained is not trained again."""
        making = self.making
        asked = task(self.suite, self.dataset, split, Settings())
        answers = Dense(len(asked.targets), "linear")
        network = Network((Backbone(family), GlobalAveragePool2D(), answers))
        model = self.backend.build(Variant(family, "", network, recipes), asked, making.seed)
        model.set_weights(initial_weights(network, asked.input_shape, making.seed))
        met, histories = view(self.suite, self.dataset, split, None), list[History]()
        total = sum(recipe.epochs for recipe in recipes)
        for stage, recipe in enumerate(recipes):
            path = self.kept / f"{family}-{self._key(recipes[: stage + 1])}.safetensors"
            if (earlier := _history(path)) is None:
                before = sum(recipe.epochs for recipe in recipes[:stage])
                earlier = self._train_stage(model, met, split, (stage, recipe), _Told(self.tell, family, before, total))
                with disk.replacing(path) as fresh:
                    save_weights(fresh, model.weights())
                disk.write_whole(path.with_suffix(".json"), msgspec.json.encode(earlier).decode())
            else:
                model.set_weights(load_weights(path))
            histories.append(earlier)
        return model, _joined(histories)

    def _key(self, recipes: tuple[Recipe, ...]) -> str:
        """Of what weights after these recipes follow from."""
        making = self.making
        source = provenance.source_of_pretraining(making.backend)
        made_by = provenance.computed_by(making.backend, observe(), source, making.device)
        told = made_by, self.dataset.fingerprint(), making.count, making.seed, making.device, recipes
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]

    def _train_stage(
        self, model: Model, met: View, split: Split, of: tuple[int, Recipe], told: Callable[[int, float, float], None]
    ) -> History:
        """One recipe: an epoch shows the next thousand images of a new order of all, moved."""
        stage, recipe = of
        draw = np.random.default_rng([self.making.seed, _ORDER, stage])
        passes = [draw.permutation(split.train) for _ in range(-(-recipe.epochs * AT_A_TIME // len(split.train)))]
        rows = np.concatenate(passes)[: recipe.epochs * AT_A_TIME].reshape(recipe.epochs, AT_A_TIME)

        def moved(epoch: int) -> tuple[Images, Targets]:
            of_epoch = np.random.default_rng([self.making.seed, _MOVES, stage, epoch])
            return met.moved(rows[epoch], of_epoch, recipe.augmented)

        images, targets = self.dataset.images, self.dataset.targets
        first, validation = split.train[:AT_A_TIME], split.validation[:_VALIDATED]
        data = TrainingData(images[first], targets[first], images[validation], targets[validation], moved)
        return model.train(data, recipe, Schedule.drawn(recipe, AT_A_TIME, self.making.seed, stage), told)


_ORDER, _MOVES = 7, 8  # keep these streams of random numbers apart from the others
_VALIDATED = 200  # after each epoch: enough to see how it goes


class _Told:
    """Says how far a training is, after each epoch."""

    def __init__(self, tell: Tell, family: str, before: int, total: int) -> None:
        self._tell, self._family, self._before, self._total = tell, family, before, total
        self._begin = time.monotonic()

    def __call__(self, epoch: int, loss: float, validation_loss: float) -> None:
        done = self._before + epoch
        if not (math.isfinite(loss) and math.isfinite(validation_loss)):
            raise BenchError(
                f"{self._family}: the loss became {loss}, of validation {validation_loss}, in epoch {done}"
            )
        minutes = (time.monotonic() - self._begin) / epoch * (self._total - done) / 60
        self._tell(
            f"{self._family}: {done * AT_A_TIME:,} of {self._total * AT_A_TIME:,} images shown, loss {loss:.3g}, "
            f"validation loss {validation_loss:.3g}, {minutes:.0f} min left"
        )


def _history(weights: Path) -> History | None:
    """How the training of kept weights went; None where there are none, or only half of what is kept."""
    path = weights.with_suffix(".json")
    if not (path.is_file() and weights.is_file()):
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=History)
    except msgspec.DecodeError:
        return None


def _joined(histories: list[History]) -> History:
    return History(
        tuple(loss for history in histories for loss in history.loss),
        tuple(loss for history in histories for loss in history.validation_loss),
        sum(history.seconds for history in histories),
    )
