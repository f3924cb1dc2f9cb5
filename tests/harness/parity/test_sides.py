import json
import subprocess
import sys
import time

import msgspec
import numpy as np
import psutil
import pytest

from harness import registry
from harness.parity.side import BATCH, BATCHES_EXPORTED
from harness.parity.sides import SideCrashed, Sides, given
from harness.parity.subjects import MOST_STEPS, ClimbRequest, Framework, groups, subjects
from harness.running.data import DataSource
from tests.harness import a_suite

SUITE = registry.suite("elasticity")
DATA = DataSource().load(SUITE)
NAMED = {variant.name: variant for variant in subjects(SUITE)}
BETWEEN = Framework("keras"), Framework("pytorch")


def begin(name, seed=0):
    return given(SUITE, DATA, SUITE.split(DATA), NAMED[name], seed)


def a_group(tmp_path, name="baseline"):
    request = ClimbRequest("elasticity", BETWEEN, name, ("structure",), "smoke", (0,), tmp_path, 2)
    (group,) = groups(request, [NAMED[name]])
    return group


@pytest.mark.parametrize("name", ["baseline", "tuned", "resnet50-head-only"])
def test_no_array_that_both_sides_start_from_is_constant(name):
    start, _ = begin(name)
    assert all(array.std() > 0 for array in start.weights.values())
    assert all(array.dtype == np.float32 for array in start.weights.values())
    assert all((array > 0).all() for part, array in start.weights.items() if part.endswith("moving_variance"))


def test_every_batch_that_is_exported_has_its_images_and_every_step_its_batch():
    start, task = begin("baseline")
    assert len(start.images) == len(start.targets) == max(BATCHES_EXPORTED)
    assert start.images.shape[1:] == task.input_shape == (64, 64, 1)
    assert start.order.shape == (MOST_STEPS, BATCH)
    assert all(len(set(batch)) == BATCH for batch in start.order.tolist())
    assert len({tuple(batch) for batch in start.order.tolist()}) == MOST_STEPS
    assert begin("vgg16-head-only")[1].input_shape == (64, 64, 1)
    assert len(np.unique(start.images)) > 1000  # grey, so that a threshold at the door would show


def test_a_network_with_an_encoding_is_given_what_it_sees():
    films = registry.suite("polysilicon")
    dataset = DataSource().load(films)
    (waves,) = (variant for variant in subjects(films) if variant.name == "many-waves")
    start, task = given(films, dataset, films.split(dataset), waves, 0)
    assert start.images.shape[1:] == task.input_shape == (64, 64, 2)
    assert start.images.min() < -0.9  # cosines and sines, not gray levels


@pytest.mark.parametrize(("name", "shape"), [("dense", (2,)), ("cnn", (8, 5, 2))])
def test_a_network_climbs_on_numbers_and_on_images_that_are_not_square(name, shape):
    dataset = a_suite.load(None, {})
    dataset = msgspec.structs.replace(dataset, images=np.ascontiguousarray(dataset.images[:, :, :5]))
    (variant,) = (variant for variant in subjects(a_suite) if variant.name == name)
    start, task = given(a_suite, dataset, a_suite.split(dataset), variant, 0)
    assert start.images.shape[1:] == task.input_shape == shape


def test_another_seed_gives_other_weights_and_batches():
    one, other = begin("baseline", 0)[0], begin("baseline", 1)[0]
    assert not np.array_equal(one.order, other.order)
    assert not np.array_equal(one.weights["conv2d_1/bias"], other.weights["conv2d_1/bias"])


def test_what_was_given_survives_its_file(tmp_path):
    start, _ = begin("baseline")
    start.save(tmp_path / "given.safetensors")
    again = type(start).load(str(tmp_path / "given.safetensors"))
    assert again.weights.keys() == start.weights.keys()
    for one, other in ((again.images, start.images), (again.targets, start.targets), (again.order, start.order)):
        np.testing.assert_array_equal(one, other)


class Saying(Sides):
    """Sides that do nothing but what they are told."""

    def command(self, orders):
        return [sys.executable, "-c", self.code]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise ValueError('no such layer')", "1: ValueError: no such layer"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9: .*out of memory"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import sys; print('enough', file=sys.stderr); sys.exit()", "exit code 0: enough"),
    ],
)
def test_a_side_that_dies_tells_its_last_words(tmp_path, code, told):
    with Saying(tmp_path, BETWEEN, 2) as sides:
        sides.code = code
        climb = sides.start(a_group(tmp_path), 0, begin("baseline"))
        with pytest.raises(SideCrashed, match=f"keras in float32: the worker .*{told}"):
            climb.side(BETWEEN[0])


class Telling(Sides):
    """Sides whose float64 lacks the gradients, and fails at the state."""

    def command(self, orders):
        code = """
import json, pathlib, sys
orders = json.loads(pathlib.Path(sys.argv[1]).read_text())
told = {"lacks": {"gradients": "no doubles"}, "broken": {"state": "no"}} if orders["precision"] == "float64" else {}
pathlib.Path(orders["told"]).write_text(json.dumps(told))
print('{"peak_gib": 0.1}')
"""
        return [sys.executable, "-c", code, str(orders)]


def test_what_float64_alone_lacks_or_fails_at_is_told(tmp_path):
    with Telling(tmp_path, BETWEEN, 2) as sides:
        told = sides.start(a_group(tmp_path), 0, begin("baseline")).side(BETWEEN[0]).told
    assert (told.lacks, told.broken) == ({"gradients": "in float64: no doubles"}, {"state": "in float64: no"})


class Lasting(Sides):
    """Sides of nothing, whose processes wait for the next and say who they are; `peak` is the memory that they tell."""

    peak = 0.1

    def command(self, orders):
        code = f"""
import json, os, pathlib, sys
path = sys.argv[1]
while path:
    orders = json.loads(pathlib.Path(path).read_text())
    pathlib.Path(orders["told"]).write_text(json.dumps({{"unavailable": str(os.getpid())}}))
    print(json.dumps({{"peak_gib": {self.peak}}}), flush=True)
    line = sys.stdin.readline()
    path = line and json.loads(line)["orders"]
"""
        return [sys.executable, "-c", code, str(orders)]

    def computed_by(self, tmp_path, seed):
        climb = self.start(a_group(tmp_path), seed, begin("baseline"))
        numbers = [climb.side(framework).told.unavailable for framework in BETWEEN]
        for computed in climb.running.values():
            computed.result()
        climb.delete()
        return numbers


def test_a_process_computes_one_side_after_another_of_its_framework_and_precision(tmp_path):
    with Lasting(tmp_path, BETWEEN, 2) as sides:
        first, *others = [sides.computed_by(tmp_path, seed) for seed in range(3)]
        assert others == [first, first]
        assert len(set(first)) == 2
        assert len(list(tmp_path.glob("*.log"))) == 4  # of two precisions each
    assert not any(map(psutil.pid_exists, map(int, first)))


def test_a_process_that_died_while_it_waited_is_replaced(tmp_path):
    with Lasting(tmp_path, BETWEEN, 2) as sides:
        dead, alive = sides.computed_by(tmp_path, 0)
        psutil.Process(int(dead)).kill()
        wait_for_the_end_of(int(dead))
        again = sides.computed_by(tmp_path, 1)
    assert again[0] != dead
    assert again[1] == alive


@pytest.mark.parametrize(
    ("others", "more"), [(Framework("keras"), set()), (Framework("keras", "torch"), {("pytorch", "float32")})]
)
def test_steps_are_made_more_often_where_the_other_framework_never_computes_in_float64(tmp_path, others, more):
    with Lasting(tmp_path, (others, BETWEEN[1]), 2) as sides:
        climb = sides.start(a_group(tmp_path), 0, begin("baseline"))
        for computed in climb.running.values():
            computed.result()
    orders = [json.loads(path.read_text()) for path in climb.folder.glob("*.orders")]
    assert len(orders) == 4
    assert {(each["backend"], each["precision"]) for each in orders if each["nudged"]} == more


def wait_for_the_end_of(process):
    """Of a child that nobody has waited for: psutil calls it a zombie."""
    while psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)


def test_a_process_that_has_held_much_memory_is_replaced(tmp_path):
    with Lasting(tmp_path, BETWEEN, 2) as sides:
        sides.peak = 3.0
        first, then = (sides.computed_by(tmp_path, seed) for seed in range(2))
    assert not set(first) & set(then)


def test_leaving_kills_what_is_under_way(tmp_path):
    with Saying(tmp_path, BETWEEN, 2) as sides:
        sides.code = f"import sys, time; print('up', file=sys.stderr, flush=True); time.sleep(600)  # of {tmp_path}"
        climb = sides.start(a_group(tmp_path), 0, begin("baseline"))
        while not any("up" in log.read_text() for log in tmp_path.glob("*.log")):
            assert not any(future.done() for future in climb.running.values()), "a side ended"
            time.sleep(0.02)  # of another process, which tells nobody
        assert running_of(tmp_path)
    assert all(future.done() for future in climb.running.values())
    assert not running_of(tmp_path)


def running_of(tmp_path):
    """The processes whose code names this folder: the sides of this test, and of no other that runs beside it."""
    words = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in words if f"time.sleep(600)  # of {tmp_path}" in line]


def test_what_was_judged_is_deleted(tmp_path):
    with Saying(tmp_path, BETWEEN, 2) as sides:
        sides.code = "pass"
        climb = sides.start(a_group(tmp_path), 0, begin("baseline"))
        for computed in climb.running.values():
            computed.result()
        climb.delete()
        assert list(climb.folder.iterdir()) == []


def test_a_side_ends_with_its_parent(tmp_path):
    """Whose death ends its standard input."""
    with Saying(tmp_path, BETWEEN, 2) as sides:
        sides.code = "pass"
        climb = sides.start(a_group(tmp_path), 0, begin("baseline"))
    orders = climb.file(BETWEEN[1], "float32", "orders")
    command = Sides.command(sides, orders)
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300)
    assert ended.returncode == 0
    assert not climb.file(BETWEEN[1], "float32", "json").exists()
