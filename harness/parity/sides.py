"""Computes both sides of every comparison, each framework and precision in processes of its own, from the same weights,
images and targets.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

import msgspec
import numpy as np
from safetensors import safe_open

from harness.isolation import command
from harness.judging.records import Settings
from harness.model.architecture import Network, Shape, backbone_of, initial_weights
from harness.model.variants import Variant
from harness.parity import kept
from harness.parity.kept import Kept
from harness.parity.ladder import Side
from harness.parity.side import BATCH, BATCHES_EXPORTED, Another, Computed, Given, Orders, Told
from harness.parity.subjects import MOST_STEPS, Framework, Group
from harness.protocol import Arrays, Dataset, Images, Precision, Rows, Scaling, Split, Suite, Task
from harness.running.child import heard, kill, see_out, tell
from harness.running.data import task
from harness.running.guard import last_words
from harness.running.launch import worker_environment
from harness.running.progress import show_count
from harness.running.view import view


def given(suite: Suite, dataset: Dataset, split: Split, variant: Variant, seed: int) -> tuple[Given, Task]:
    """What both sides start from, and their task, for a variant's network. Weights are drawn so that nothing about them
    hides a mistake: no array is constant, and of a network without a backbone the first layer is strong, so that values
    beyond 6 occur. Targets are shifted towards zero, so that some of them, and of the answers, are negative.
    """
    network = variant.architecture
    assert isinstance(network, Network)
    dataset = view(suite, dataset, split, variant.encoding, variant.decoding).met
    chosen = _of_each_class(dataset, split.train)[: max(BATCHES_EXPORTED)]
    asked = task(suite, dataset, split, Settings())
    scaling, shift = asked.scaling, np.zeros(1)
    if isinstance(scaling, Scaling):
        shift = 7 / 8 * np.array(scaling.offset)
        scaling = Scaling(tuple((np.array(scaling.offset) - shift).tolist()), scaling.scale)
    images = dataset.images[chosen]
    if backbone_of(network):
        images = images[:, :_BACKBONE_SIZE, :_BACKBONE_SIZE]
    asked = msgspec.structs.replace(asked, input_shape=images.shape[1:], scaling=scaling)
    draw = np.random.default_rng([seed, _PARITY])
    order = np.stack([draw.permutation(len(chosen))[:BATCH] for _ in range(MOST_STEPS)])
    if not variant.encoding:
        images = _grey(images, draw)
    weights = _telling_weights(network, asked.input_shape, seed)
    return Given(weights, images, dataset.targets[chosen] - shift, order), asked


def _of_each_class(dataset: Dataset, rows: Rows) -> Rows:
    """These rows, of classes in turns while there are any: of a rare one the first few may have none to show."""
    if not dataset.classes:
        return rows
    number_in_class = (np.cumsum(dataset.targets[rows], axis=0) * dataset.targets[rows]).sum(axis=1)
    return rows[np.argsort(number_in_class, kind="stable")]


def _grey(images: Images, draw: np.random.Generator) -> Images:
    """Images of two values as pictures have them: between black and white, of unlike contrast, with noise."""
    darkest, contrast = draw.uniform(0, 0.3, (2, len(images), 1, 1, 1))
    noise = draw.uniform(0, 0.1, images.shape)
    return np.ascontiguousarray(darkest + (0.6 + contrast - darkest) * images + noise, np.float32).clip(0, 1)


_BACKBONE_SIZE = 64  # of which four pixels are left
_PARITY = 3  # keeps this stream of random numbers apart from the others
_FIRST_GAIN = 14.0


def _telling_weights(network: Network, input_shape: Shape, seed: int) -> Arrays:
    draw = np.random.default_rng([seed, _PARITY, 1])
    weights: Arrays = {}
    for name, array in initial_weights(network, input_shape, seed).items():
        part, noise = name.rpartition("/")[2], 0.1 * draw.normal(size=array.shape).astype(np.float32)
        if part == "kernel":
            first = not weights and not backbone_of(network)
            weights[name] = array * np.float32(_FIRST_GAIN if first else 1)
        else:
            weights[name] = array + (np.abs(noise) if part == "moving_variance" else noise)
    return weights


class Climb(NamedTuple):
    """The sides of a group that are being computed, and where."""

    folder: Path
    running: dict[tuple[Framework, Precision], Future[str]]
    known: dict[tuple[Framework, str], Path]

    def side(self, framework: Framework) -> Side:
        """Wait for a framework's side. Raises SideCrashed with its last words."""
        told: dict[Precision, Told] = {}
        for precision in _PRECISIONS:
            if last_words := self.running[framework, precision].result():
                raise SideCrashed(f"{framework.label} in {precision}: {last_words}")
            told[precision] = _told(self.file(framework, precision, "json"))
        # What fails, or is lacking, in float64 alone fails, or is lacking, too.
        broken, lacks = (
            {rung: f"in float64: {error}" for rung, error in errors.items()}
            for errors in (told["float64"].broken, told["float64"].lacks)
        )
        single = msgspec.structs.replace(
            told["float32"], broken=broken | told["float32"].broken, lacks=lacks | told["float32"].lacks
        )
        double = None if told["float64"].unavailable else _reader(self.file(framework, "float64", "safetensors"))
        return Side(framework.label, single, _reader(self.file(framework, "float32", "safetensors")), double)

    def file(self, framework: Framework, precision: str, suffix: str) -> Path:
        """One of the files of a side, where an earlier climb left it or where this one has it written."""
        mine = self.folder / f"{framework.stem}-{precision}"
        return self.known.get((framework, precision), mine).with_suffix(f".{suffix}")

    def start(self) -> Arrays:
        """The weights that both sides started from."""
        return _reader(self.folder / "given.safetensors")("weights/")

    def delete(self) -> None:
        """Make room: the arrays of a backbone may be gigabytes."""
        for path in self.folder.iterdir():
            path.unlink()


_PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_TIMES_NUDGED = 4  # one of which goes the other way in all but one of sixteen cases that are as likely as not to


class SideCrashed(Exception):
    """A side ended without leaving its arrays behind; the message is the last that it said."""


def _told(path: Path) -> Told:
    return msgspec.json.decode(path.read_bytes(), type=Told)


def _reader(path: Path) -> Callable[[str], Arrays]:
    """Reads the arrays whose names begin with a prefix, by the rest of their names."""

    def read(prefix: str) -> Arrays:
        with safe_open(path, "numpy") as arrays:
            names = [name for name in arrays.keys() if name.startswith(prefix)]  # noqa: SIM118  it is no dictionary
            return {name.removeprefix(prefix): arrays.get_tensor(name) for name in names}

    return read


class _Process:
    """Computes one side after another, all of one framework in one precision."""

    def __init__(self, command: Sequence[str], framework: Framework, log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # which ends when this process does, however it does
                stdout=subprocess.PIPE,
                stderr=errors,
                env=worker_environment(framework.device) | framework.variables(),
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the sides in good order
            )
        self._computed = heard(self._process, Computed)

    def go_on(self, orders: Path) -> bool:
        """Have it compute another side; False where it died while it waited."""
        tell(self._process, Another(str(orders)))
        return self._process.poll() is None

    def wait(self) -> tuple[str, float]:
        """Wait for the side under way: its last words where it failed, and the memory that is held, in GiB; infinite
        where it has ended.
        """
        if computed := next(self._computed, None):
            return "", computed.peak_gib
        return last_words(self._process.wait(), self._log), math.inf

    def end(self) -> None:
        """Let it end."""
        see_out(self._process)

    def kill(self) -> None:
        """End it whatever it does."""
        kill(self._process)


class Sides:
    """Computes sides in other processes, a few at a time, but for those that were `kept`; leaving it kills those under
    way. Of each framework and precision a process waits for the next side, for most of what a side takes is its import.
    """

    def __init__(self, folder: Path, between: Sequence[Framework], workers: int, kept: Kept | None = None) -> None:
        self._folder, self._between, self._kept = folder, between, kept
        self._pool = ThreadPoolExecutor(workers)
        self._alive: set[_Process] = set()
        self._idle: dict[tuple[Framework, Precision], _Process] = {}
        self._started = self._ended = 0
        self._numbers = itertools.count()
        self._left = False

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self._alive):
            process.kill()
        self._pool.shutdown()
        for process in self._idle.values():
            process.end()

    def start(self, group: Group, seed: int, begin: tuple[Given, Task]) -> Climb:
        """Have every side of a group computed, in its turn."""
        home = self._folder / f"{group.variants[0].name}-{seed}"
        home.mkdir()
        begin[0].save(home / "given.safetensors")
        given = hashlib.sha256((home / "given.safetensors").read_bytes()).hexdigest() if self._kept else ""
        climb = Climb(home, {}, {})
        for precision, framework in itertools.product(_PRECISIONS, self._between):
            orders = Orders(
                backend=framework.backend,
                device=framework.device,
                precision=precision,
                task=begin[1],
                network=group.network,
                variants=tuple(group.variants),
                rungs=group.rungs,
                steps=group.steps,
                stepping=group.stepping,
                given=str(home / "given.safetensors"),
                out=str(climb.file(framework, precision, "safetensors")),
                told=str(climb.file(framework, precision, "json")),
                nudged=self._nudged(framework, precision),
            )
            self._started += 1
            key = kept.key(framework, orders, given, self.command(Path("orders"))) if self._kept else ""
            climb.running[framework, precision] = self._pool.submit(
                self._find_or_compute, climb, framework, orders, key
            )
        return climb

    def _nudged(self, framework: Framework, precision: Precision) -> int:
        """How often more the steps are made by who alone can say how far rounding moves them."""
        alone = any(other.in_single_alone for other in self._between) and not framework.in_single_alone
        return _TIMES_NUDGED if alone and precision == "float32" else 0

    def command(self, orders: Path) -> Sequence[str]:
        """What computes a side, and may compute others then. `-P`: what is installed, not what happens to lie in the
        user's folder.
        """
        return command("harness.parity.side", str(orders))

    def _find_or_compute(self, climb: Climb, framework: Framework, orders: Orders, key: str) -> str:
        """Have a side's files where `Climb.file` says; returns its last words where it failed."""
        if self._kept and (stem := self._kept.find(key)):
            climb.known[framework, orders.precision] = stem
            self._count()
            return ""
        path = Path(orders.out).with_suffix(".orders")
        path.write_bytes(msgspec.json.encode(orders))
        last_words = self._compute(framework, orders.precision, path)
        if self._kept and not last_words and not _told(Path(orders.told)).broken:  # which another time may not
            self._kept.keep(key, path)
        self._count()
        return last_words

    def _count(self) -> None:
        self._ended += 1
        show_count(self._ended, self._started)

    def _compute(self, framework: Framework, precision: Precision, orders: Path) -> str:
        """Have one side computed; returns its last words where it failed."""
        kind = framework, precision
        process = self._idle.pop(kind, None)
        if not process or not process.go_on(orders):
            process = _Process(self.command(orders), framework, self._folder / f"{next(self._numbers)}.log")
            self._alive.add(process)
        if self._left:
            process.kill()
        last_words, held_gib = process.wait()
        if held_gib > _WAITS_BELOW_GIB or self._idle.setdefault(kind, process) is not process:
            process.end()
            self._alive.discard(process)
        return last_words


_WAITS_BELOW_GIB = 2.0
"""A process that has held more is ended after its side: there is one that waits of each framework and precision."""
