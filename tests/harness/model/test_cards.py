import msgspec
import numpy as np
import pytest

from harness.environment import observe
from harness.errors import WeightsError
from harness.model import backbones, cards
from harness.model.cards import Card
from harness.model.variants import Recipe
from harness.model.weights import save_weights

FAMILY = "densenet121"


def a_set(folder, seed=0):
    """A file and its card; the file's contents."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    arrays = {name: draw.normal(size=shape).astype(np.float32) for name, shape in backbones.shapes(FAMILY).items()}
    path = cards.weights_file(folder, FAMILY)
    save_weights(path, arrays)
    card = Card(
        weights=folder.name,
        family=FAMILY,
        sha256=cards.sha256(path),
        suite="elasticity",
        data="noise",
        count=1000,
        seed=seed,
        data_hash="0" * 64,
        recipes=(Recipe(),),
        backend="pytorch",
        device="cpu",
        skill=0.5,
        validation_loss=(1.0,),
        seconds=1.0,
        made="2026-01-01T00:00:00+00:00",
        framework={"torch": "2.13.0"},
        environment=observe(),
    )
    cards.card_file(folder, FAMILY).write_bytes(msgspec.json.encode(card))
    return path.read_bytes()


def test_a_file_is_what_its_card_says(tmp_path):
    a_set(tmp_path / "ours")
    (card,) = cards.of(tmp_path / "ours")
    assert cards.state(tmp_path / "ours", card) == "ready"
    assert cards.checked(tmp_path / "ours", FAMILY) == card.sha256


def test_another_file_than_the_card_s_is_told(tmp_path):
    a_set(tmp_path / "ours")
    path = cards.weights_file(tmp_path / "ours", FAMILY)
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    (card,) = cards.of(tmp_path / "ours")
    assert cards.state(tmp_path / "ours", card) == "damaged"
    with pytest.raises(WeightsError, match=r"densenet121.safetensors is \w{12}, but the card beside it is of"):
        cards.checked(tmp_path / "ours", FAMILY)


def test_a_missing_file_is_told_with_what_to_do(tmp_path):
    a_set(tmp_path / "ours")
    cards.weights_file(tmp_path / "ours", FAMILY).unlink()
    (card,) = cards.of(tmp_path / "ours")
    assert cards.state(tmp_path / "ours", card) == "missing"
    with pytest.raises(WeightsError, match=r"there is a card .* but not the file; `bench weights make`"):
        cards.checked(tmp_path / "ours", FAMILY)
    with pytest.raises(WeightsError, match="'ours' have no vgg16: there is neither a file nor a card"):
        cards.checked(tmp_path / "ours", "vgg16")


def test_a_card_that_is_none_is_told(tmp_path):
    a_set(tmp_path / "ours")
    cards.card_file(tmp_path / "ours", FAMILY).write_text('{"weights": "ours"}')
    with pytest.raises(WeightsError, match="is no card of weights"):
        cards.of(tmp_path / "ours")


def test_files_are_attached_by_their_hash_whatever_their_name(tmp_path):
    contents = a_set(tmp_path / "sets" / "ours")
    place = cards.weights_file(tmp_path / "sets" / "ours", FAMILY)
    handed = tmp_path / "handed"
    handed.mkdir()
    place.rename(handed / "downloaded (1).safetensors")
    (handed / "other.safetensors").write_bytes(b"something else")
    assert cards.attach(handed, tmp_path / "sets") == [place]
    assert place.read_bytes() == contents


def test_a_file_that_two_sets_name_is_attached_to_both(tmp_path):
    places = []
    for name in ("ours", "theirs"):
        a_set(tmp_path / "sets" / name)
        places.append(cards.weights_file(tmp_path / "sets" / name, FAMILY))
    (tmp_path / "handed").mkdir()
    places[0].rename(tmp_path / "handed" / "x.safetensors")
    places[1].unlink()
    assert cards.attach(tmp_path / "handed", tmp_path / "sets") == places
    assert places[0].read_bytes() == places[1].read_bytes()


def test_what_no_card_names_is_not_attached(tmp_path):
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "other.safetensors").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="there are no cards"):
        cards.attach(handed, tmp_path / "sets")
    a_set(tmp_path / "sets" / "ours")
    with pytest.raises(WeightsError, match="nowhere: there is no such folder"):
        cards.attach(tmp_path / "nowhere", tmp_path / "sets")
    with pytest.raises(WeightsError, match=r"none of its .safetensors files is named by a card"):
        cards.attach(handed, tmp_path / "sets")
