"""Of backbones trained on a suite's own images: twenty at a time in the place of a thousand."""

import os
import shutil
import signal

import msgspec
import numpy as np
import pytest

from harness import disk, provenance, registry
from harness.errors import BenchError, Unavailable
from harness.model import cards, pretrained
from harness.model.variants import Recipe
from harness.running import pretraining
from harness.running.pretraining import Making, in_data_sets, make
from suites import elasticity
from suites.microstructure import endless

pytestmark = pytest.mark.slow
FAMILY = "densenet121"


@pytest.fixture(autouse=True, scope="module")
def _small():
    recipes = tuple(Recipe(epochs=epochs, learning_rate=1e-4, augmented=True) for epochs in (1, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "AT_A_TIME", 20)
        patch.setattr(elasticity, "PRETRAINING", msgspec.structs.replace(endless.PRETRAINING, recipes=recipes))
        yield


def made(results, tell=lambda _: None, **changes):
    making = Making("elasticity", (FAMILY,), count=40, seed=3, backend="pytorch", device="cpu", results=results)
    ((path, card),) = make(msgspec.structs.replace(making, **changes), tell)
    return path, card


@pytest.fixture(scope="module")
def whole(tmp_path_factory, _small):
    """The file and the card of a making that nothing interrupted, and what it told."""
    told = []
    path, card = made(tmp_path_factory.mktemp("whole"), told.append)
    return path, card, told


def test_what_is_made_can_be_started_from(whole):
    path, card, _ = whole
    results = path.parents[2]
    origin = pretrained.chosen("microstructures", results, print)(FAMILY)
    assert origin == (f"microstructures {card.sha256[:12]}", path)
    assert pretrained.chosen(str(path.parent), results, print)(FAMILY) == origin
    arrays = pretrained.read(path, FAMILY)
    assert arrays["conv1_bn/moving_mean"].any()  # which a backbone that never trained has not


def test_the_card_says_how_it_was_made(whole):
    path, card, _ = whole
    assert cards.of(path.parent) == [card]
    assert (card.weights, card.count, card.seed, card.backend) == ("microstructures", 40, 3, "pytorch")
    assert card.recipes == elasticity.PRETRAINING.recipes
    assert len(card.validation_loss) == 3
    assert card.sha256 == cards.sha256(path)


def test_it_tells_how_far_it_is(whole):
    *_, told = whole
    assert told[:3] == [f"{count} of 60 images drawn and labelled" for count in (20, 40, 60)]
    assert [line.partition(" shown")[0] for line in told if "shown" in line] == [
        f"{FAMILY}: {count} of 60 images" for count in (20, 40, 60)
    ]


def test_what_was_interrupted_goes_on_and_ends_the_same(whole, tmp_path):
    path, card, _ = whole

    def interrupt(line):
        if "40 of 60 images shown" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, interrupt)
    told = []
    again, its_card = made(tmp_path, told.append)
    assert not [line for line in told if "drawn" in line]
    assert len([line for line in told if "shown" in line]) == 2  # of the second recipe, from its beginning
    assert again.read_bytes() == path.read_bytes()
    assert its_card.validation_loss == card.validation_loss


def test_images_that_were_damaged_are_drawn_again(whole):
    path, card, _ = whole
    results, told = path.parents[2], []
    damaged, *_ = sorted((results / "cache" / "pretraining").glob("*/images-*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert made(results, told.append)[1].data_hash == card.data_hash
    assert [line for line in told if "drawn" in line] == ["60 of 60 images drawn and labelled"]


def test_no_image_of_a_data_set_is_trained_on(monkeypatch, tmp_path):
    shipped = elasticity.load(None, {})
    assert in_data_sets(shipped.images[:7]) == 7
    assert in_data_sets(shipped.images[:7, ::-1]) == 0
    leaking = shipped.images[:60]

    def drawn(*_):
        return msgspec.structs.replace(shipped, images=leaking, targets=shipped.targets[:60])

    monkeypatch.setattr(pretraining, "_drawn", drawn)
    with pytest.raises(BenchError, match="60 of the images drawn with seed=3 are in a data set: choose another seed"):
        made(tmp_path)


def test_each_part_and_each_seed_draws_other_images(whole):
    path, *_ = whole
    parts = sorted((path.parents[2] / "cache" / "pretraining").glob("*/images-*.npz"))
    images = np.concatenate([np.load(part)["images"] for part in parts])
    assert len(np.unique(images, axis=0)) == len(images) == 60
    other = endless.draw(20, 10**5 * 4)
    assert not (images[:, None] == np.rint(255 * other.images)[None]).all(axis=(2, 3, 4)).any()


def test_a_suite_that_draws_nothing_is_refused(tmp_path):
    assert registry.suite("polysilicon").PRETRAINING is None
    with pytest.raises(BenchError, match="suite=polysilicon: this suite draws no data"):
        made(tmp_path, suite="polysilicon")


def test_a_device_that_is_not_there_is_told(tmp_path, monkeypatch):
    def configure(threads, device):
        raise Unavailable("no CUDA device here")

    monkeypatch.setattr(registry.backend("pytorch"), "configure", configure)
    with pytest.raises(BenchError, match="device=cuda: no CUDA device here"):
        made(tmp_path, device="cuda")


def test_a_training_that_diverges_is_ended_and_leaves_no_weights(whole, tmp_path, monkeypatch):
    path, *_ = whole
    shutil.copytree(path.parents[2] / "cache" / "pretraining", tmp_path / "cache" / "pretraining")
    for weights in (tmp_path / "cache" / "pretraining").glob("*/*.safetensors"):
        weights.unlink()

    def diverging(self, data, recipe, schedule, on_epoch):
        on_epoch(1, float("nan"), 1.0)

    monkeypatch.setattr(registry.backend("pytorch").TorchModel, "train", diverging)
    with pytest.raises(BenchError, match=r"densenet121: the loss became nan, of validation 1\.0, in epoch 1"):
        made(tmp_path)
    assert not list((tmp_path / "weights").glob("*/*"))


def test_other_images_or_other_code_are_not_taken_for_these(whole, monkeypatch):
    """Backbones are kept by the data that they saw and the code that trained them."""
    path, *_ = whole
    results, told = path.parents[2], []
    monkeypatch.setattr(provenance, "source_of_pretraining", lambda _: "other code")
    made(results, told.append)
    assert len([line for line in told if "shown" in line]) == 3
    assert not [line for line in told if "drawn" in line]
    monkeypatch.setattr(provenance, "source_of_drawing", lambda _: "other images")
    made(results, told.append)
    assert len([line for line in told if "drawn" in line]) == 3


def test_a_missing_backend_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "missing", lambda _: ("torch",))
    with pytest.raises(BenchError, match="backend=pytorch: torch not installed"):
        made(tmp_path)


def _killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_while_it_draws_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "_draw", _killed)
    monkeypatch.setattr(pretraining, "usable_cores", lambda: 1)
    with pytest.raises(BenchError, match=r"a process that drew images was killed: .*; finished work is kept"):
        made(tmp_path)


def test_one_making_at_a_time(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pretraining, "_drawn", lambda *_: asked.append(True))
    making = Making("elasticity", (FAMILY,), 40, 3, "pytorch", "cpu", tmp_path)
    kept = tmp_path / "cache" / "pretraining" / pretraining._key(making, elasticity.PRETRAINING)
    kept.mkdir(parents=True)
    with (
        disk.alone(kept / "make.lock"),
        pytest.raises(BenchError, match=f"{kept}: another `bench weights make` is at work here: wait for it"),
    ):
        made(tmp_path)
    assert not asked
