import gc
import sys
import warnings

import msgspec
import numpy as np
import pytest

from harness.errors import Unavailable
from harness.judging.records import Searched, Settings
from harness.model.architecture import (
    Backbone,
    Dense,
    Estimator,
    Flatten,
    GlobalAveragePool2D,
    Network,
    initial_weights,
)
from harness.model.variants import Configuration, Recipe, Search, Variant
from harness.model.weights import save_weights
from harness.protocol import Classes, Counts, Dataset, History, Scaling, Split, Symmetry, Task
from harness.running import training
from harness.running.centring import Centring
from harness.running.training import Fitting, epoch_work, fit, trials_file, work
from harness.running.view import View
from tests.harness.examples import a_cell, needs_optuna

TARGETS = ("C11", "C22")
HEAD, TUNING = Recipe(epochs=2, trains="head"), Recipe(epochs=1, learning_rate=1e-4)
TRANSFER = Network((Backbone("densenet121"), GlobalAveragePool2D(), Dense(2, "linear")))


@pytest.fixture(autouse=True)
def _results(tmp_path):
    """What `bench run` makes before its workers start."""
    (tmp_path / "cache").mkdir()


def a_dataset(count=12, size=32):
    rng = np.random.default_rng(0)
    images = rng.random((count, size, size, 1)).astype(np.float32)
    names = tuple(map(str, range(count)))
    return Dataset("made", images, rng.normal(size=(count, 2)), TARGETS, "GPa", ("",) * count, names)


SPLIT = Split(np.arange(6), np.arange(6, 9), {"test": np.arange(9, 12)})


class FakeModel:
    """Keeps what it is told; its validation losses are those that the configuration's learning rate looks up. One that
    learns has the loss of the epoch in the place of every weight.
    """

    learns = False

    def __init__(self, variant, losses, calls):
        self.variant, self.losses, self.calls = variant, losses, calls
        self.arrays = initial_weights(variant.architecture, (32, 32, 1), seed=99)

    def counts(self):
        return Counts(7, 0, {"dense_1": 7})

    def weights(self):
        return dict(self.arrays)

    def set_weights(self, weights):
        self.arrays = dict(weights)

    def features(self, images):
        self.calls.append(("features", len(images)))
        return images.mean(axis=(1, 2)).astype(np.float32)

    def train(self, data, recipe, schedule, on_epoch):
        self.calls.append((recipe.trains, recipe.learning_rate, schedule.order.tolist(), data))
        losses = self.losses(recipe)
        for epoch, loss in enumerate(losses, 1):
            if self.learns:
                self.arrays = {name: np.full_like(array, loss) for name, array in self.arrays.items()}
            if on_epoch(epoch, loss, loss):
                return History(losses[:epoch], losses[:epoch], 0.5)
        return History(losses, losses, 0.5)


class FakeBackend:
    learns = False

    def __init__(self, losses=lambda recipe: (1.0,) * recipe.epochs):
        self.losses, self.calls, self.built = losses, [], []

    def build(self, variant, task, seed):
        self.built.append(variant)
        model = FakeModel(variant, self.losses, self.calls)
        model.learns = self.learns
        return model


def a_fitting(tmp_path, backend, cell, weights_file=None):
    told = []
    dataset = a_dataset()
    task = Task((32, 32, 1), TARGETS, ("GPa", "GPa"), Scaling((0.0, 0.0), (1.0, 1.0)))
    fitting = Fitting(
        cell, backend, task, View(dataset, dataset), SPLIT, tmp_path, lambda *epoch: told.append(epoch), weights_file
    )
    return fitting, told


def transfer_cell(*recipes, weights="random", **changes):
    return a_cell(architecture=TRANSFER, recipes=recipes, weights=weights, backend="fake", **changes)


# --- stages -------------------------------------------------------------------------------------------------------


def test_recipes_follow_each_other_on_one_model_in_orders_of_their_own(tmp_path):
    backend = FakeBackend()
    fitting, told = a_fitting(tmp_path, backend, transfer_cell(HEAD, msgspec.structs.replace(TUNING, epochs=2)))
    fitted = fit(fitting)
    assert len(backend.built) == 1
    stages = [call for call in backend.calls if call[0] != "features"]
    assert [(trains, rate) for trains, rate, _, _ in stages] == [("head", 1e-3), ("all", 1e-4)]
    assert stages[0][2] != stages[1][2]
    assert [epoch for epoch, _, _ in told] == [1, 2, 3, 4]
    assert [len(history.loss) for history in fitted.history] == [2, 2]
    assert fitted.searched is None


def test_the_head_is_trained_on_features_and_all_on_images(tmp_path):
    backend = FakeBackend()
    fitting, _ = a_fitting(tmp_path, backend, transfer_cell(HEAD, TUNING))
    fit(fitting)
    head, everything = (call[3] for call in backend.calls if call[0] != "features")
    images = fitting.view.met.images
    np.testing.assert_allclose(head.images, images[SPLIT.train].mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(head.validation_images, images[SPLIT.validation].mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(everything.images, images[SPLIT.train])


def test_a_centred_head_is_trained_on_centred_features_and_folded_for_what_comes_after(tmp_path, monkeypatch):
    def pixels(_, images):
        return images.reshape(len(images), -1)  # as many as there are channels

    monkeypatch.setattr(FakeModel, "features", pixels)
    backend = FakeBackend()
    centred = msgspec.structs.replace(HEAD, centred=True)
    fitting, _ = a_fitting(tmp_path, backend, transfer_cell(centred, TUNING, settings=Settings(init="native")))
    fitted = fit(fitting)
    head, everything = (call[3] for call in backend.calls)
    images = fitting.view.met.images
    features = pixels(None, images)
    centring = Centring.of(features[SPLIT.train])
    np.testing.assert_allclose(head.images, centring.shown(features[SPLIT.train]), atol=1e-6)
    np.testing.assert_allclose(head.validation_images, centring.shown(features[SPLIT.validation]), atol=1e-6)
    np.testing.assert_array_equal(everything.images, images[SPLIT.train])
    # The fake model never moves a weight, so that what is left is what it began with, folded.
    begun = initial_weights(TRANSFER, (32, 32, 1), seed=99)
    bias = fitted.model.weights()["dense_1/bias"]
    assert bias.all()
    np.testing.assert_array_equal(bias, centring.folded(begun, TRANSFER)["dense_1/bias"])


def test_nothing_but_a_head_alone_can_be_centred(tmp_path):
    fitting, _ = a_fitting(tmp_path, FakeBackend(), transfer_cell(msgspec.structs.replace(TUNING, centred=True)))
    with pytest.raises(ValueError, match="centred for a head that is trained alone"):
        fit(fitting)


def test_of_few_originals_an_epoch_shows_some_more_than_once(tmp_path):
    """So that it has as many steps as one of all images; validation images stay what they are."""
    backend = FakeBackend()
    fitting, _ = a_fitting(tmp_path, backend, transfer_cell(HEAD, TUNING))
    fit(fitting._replace(split=SPLIT.first(4), epoch_images=6))
    head, everything = (call for call in backend.calls if call[0] != "features")
    images = fitting.view.met.images
    np.testing.assert_array_equal(everything[3].images, images[[0, 1, 2, 3, 0, 1]])
    np.testing.assert_array_equal(everything[3].validation_images, images[SPLIT.validation])
    assert [len(order) for order in everything[2]] == [6]
    assert len(head[3].images) == 6
    assert [number for what, number, *_ in backend.calls if what == "features"] == [7]  # 4 to train on, 3 to validate


FACTORS = (1.0, 49.0)


def test_a_resampled_recipe_draws_by_the_classes_of_the_training_images(tmp_path):
    backend, recipe = FakeBackend(), Recipe(epochs=30, resampled=FACTORS)
    fitting, _ = a_fitting(tmp_path, backend, transfer_cell(recipe))
    which = np.array([0, 0, 1, 0, 0, 0])  # of the training images; the others are not looked at
    dataset = msgspec.structs.replace(fitting.view.met, targets=np.eye(2)[np.resize(which, 12)], classes=True)
    task = msgspec.structs.replace(fitting.task, scaling=Classes())
    fit(fitting._replace(view=View(dataset, dataset), task=task))
    order = np.array(backend.calls[-1][2])
    assert order.shape == (30, 6)
    assert np.mean(order == 2) > 0.8  # 49 of 54


@pytest.mark.parametrize(
    "cell",
    [
        transfer_cell(Recipe(class_weights=FACTORS)),
        transfer_cell(Recipe(resampled=FACTORS)),
        a_cell(architecture=Estimator("ridge", class_weights=FACTORS)),
        a_cell(
            architecture=Search(
                (Configuration({}, Network((Flatten(), Dense(2, "linear"))), Recipe(class_weights=FACTORS)),)
            )
        ),
    ],
)
def test_factors_are_for_the_classes_that_there_are(tmp_path, cell):
    fitting, _ = a_fitting(tmp_path, FakeBackend(), cell)
    with pytest.raises(Unavailable, match="factors for 2 classes, and the targets are numbers, not classes"):
        fit(fitting)
    task = msgspec.structs.replace(fitting.task, targets=("a", "b", "c"), scaling=Classes())
    with pytest.raises(Unavailable, match="factors for 2 classes, and the targets are 3 classes"):
        fit(fitting._replace(task=task))


def test_only_the_first_recipe_can_be_centred(tmp_path):
    centred = msgspec.structs.replace(HEAD, centred=True)
    fitting, _ = a_fitting(tmp_path, FakeBackend(), transfer_cell(HEAD, centred))
    with pytest.raises(ValueError, match="only a variant's first recipe"):
        fit(fitting)


def test_features_are_computed_once_and_never_for_test_images(tmp_path):
    counts = []
    for recipes in ((HEAD,), (HEAD, TUNING)):
        backend = FakeBackend()
        fit(a_fitting(tmp_path, backend, transfer_cell(*recipes))[0])
        counts.append([number for what, number, *_ in backend.calls if what == "features"])
    assert counts == [[9], []]  # 6 to train on and 3 to validate; none of the 3 to test


@pytest.mark.parametrize("changes", [{"seed": 1}, {"backend": "another"}])
def test_features_of_another_backbone_or_backend_are_others(tmp_path, changes):
    """Another seed's backbone has other random weights."""
    for cell in (transfer_cell(HEAD), msgspec.structs.replace(transfer_cell(HEAD), **changes)):
        backend = FakeBackend()
        fit(a_fitting(tmp_path, backend, cell)[0])
        assert any(what == "features" for what, *_ in backend.calls)


def test_the_seconds_of_features_count_whether_or_not_they_were_kept(tmp_path):
    seconds = [fit(a_fitting(tmp_path, FakeBackend(), transfer_cell(HEAD))[0]).history[0].seconds for _ in range(2)]
    assert seconds[0] == seconds[1] > 0.5


def test_damaged_features_are_computed_again(tmp_path):
    fit(a_fitting(tmp_path, FakeBackend(), transfer_cell(HEAD))[0])
    (kept,) = (tmp_path / "cache" / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    backend = FakeBackend()
    with warnings.catch_warnings(category=ResourceWarning, action="error"):  # of a file that is left open
        fit(a_fitting(tmp_path, backend, transfer_cell(HEAD))[0])
        gc.collect()
    assert ("features", 9) in backend.calls


# --- weights to start from ----------------------------------------------------------------------------------------


def test_a_backbone_starts_from_the_users_file_and_the_head_from_the_seed(tmp_path):
    given = {
        name.removeprefix("backbone_1/"): array
        for name, array in initial_weights(TRANSFER, (32, 32, 1), seed=5).items()
        if name.startswith("backbone_1/")
    }
    path = tmp_path / "mine.safetensors"
    save_weights(path, given)
    fitting, _ = a_fitting(tmp_path, FakeBackend(), transfer_cell(HEAD, weights="mine.safetensors 0"), path)
    weights = fit(fitting).model.weights()
    for name, array in given.items():
        np.testing.assert_array_equal(weights[f"backbone_1/{name}"], array)
    head = initial_weights(TRANSFER, (32, 32, 1), seed=0)["dense_1/kernel"]
    np.testing.assert_array_equal(weights["dense_1/kernel"], head)


def test_native_weights_are_the_frameworks_own(tmp_path):
    cell = transfer_cell(HEAD)
    cell = msgspec.structs.replace(cell, settings=msgspec.structs.replace(cell.settings, init="native"))
    weights = fit(a_fitting(tmp_path, FakeBackend(), cell)[0]).model.weights()
    expected = initial_weights(TRANSFER, (32, 32, 1), seed=99)
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)


@pytest.mark.parametrize("weights", ["imagenet", "mine.safetensors 0"])
def test_weights_that_cannot_be_had_make_a_cell_unavailable(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = None
    if weights != "imagenet":
        path = tmp_path / "mine.safetensors"
        save_weights(path, {"conv1_conv/kernel": np.zeros((1, 2), np.float32)})
    with pytest.raises(Unavailable, match="densenet121"):
        fit(a_fitting(tmp_path, FakeBackend(), transfer_cell(HEAD, weights=weights), path)[0])


# --- searches -----------------------------------------------------------------------------------------------------

RATES = (0.1, 0.2, 0.3, 0.4)


def a_search(epochs=3, recipe_epochs=5):
    network = Network((Flatten(), Dense(2, "linear")))
    return Search(
        tuple(Configuration({"rate": rate}, network, Recipe(recipe_epochs, learning_rate=rate)) for rate in RATES),
        epochs,
    )


def dips(recipe):
    """Configuration 2 has the lowest loss of all in its second epoch, and ends worst of all."""
    losses = {0.1: (5.0, 4.0, 3.0), 0.2: (4.0, 2.0, 2.0), 0.3: (9.0, 1.0, 9.0), 0.4: (8.0, 7.0, 6.0)}
    return losses[recipe.learning_rate][: recipe.epochs] + (9.0,) * (recipe.epochs - 3)


def test_a_grid_tries_all_and_trains_the_best_anew(tmp_path):
    backend = FakeBackend(dips)
    fitting, told = a_fitting(tmp_path, backend, a_cell(architecture=a_search(), backend="fake"))
    fitted = fit(fitting)
    assert [trial.configuration for trial in fitted.searched.trials] == [0, 1, 2, 3]
    assert fitted.searched.selected == 2
    best = fitted.searched.trials[2]
    assert (best.validation_loss, best.epoch, best.last, best.parameters, best.seconds) == (1.0, 2, 9.0, 7, 0.5)
    assert [variant.recipes[0].epochs for variant in backend.built] == [3, 3, 3, 3, 5]
    assert backend.built[-1].recipes[0].learning_rate == 0.3
    assert len(fitted.history[0].loss) == 5
    assert [epoch for epoch, _, _ in told] == list(range(1, 4 * 3 + 5 + 1))


def test_a_halving_goes_on_with_the_better_third(tmp_path):
    """Configuration 2 would win a grid, but its first epoch is the worst of all."""
    halving = msgspec.structs.replace(a_search(), method="halving")
    backend = FakeBackend(dips)
    fitting, told = a_fitting(tmp_path, backend, a_cell(architecture=halving, backend="fake"))
    fitted = fit(fitting)
    assert [(trial.configuration, trial.validation_loss) for trial in fitted.searched.trials] == [
        *((0, 5.0), (1, 4.0), (2, 9.0), (3, 8.0)),
        *((0, 3.0), (1, 2.0)),
    ]
    assert fitted.searched.selected == 1
    assert [variant.recipes[0].epochs for variant in backend.built] == [1, 1, 1, 1, 3, 3, 5]
    assert [epoch for epoch, _, _ in told] == list(range(1, 4 + 2 * 3 + 5 + 1))


def diverging(*rates):
    """As `dips`, but the loss of configurations with these rates becomes no number."""

    def losses(recipe):
        if recipe.learning_rate in rates:
            raise FloatingPointError("the training loss became nan in epoch 1 of 3")
        return dips(recipe)

    return losses


@pytest.mark.parametrize("method", ["grid", "halving", pytest.param("optuna", marks=needs_optuna)])
def test_a_configuration_that_diverges_is_the_worst_and_the_others_go_on(tmp_path, capsys, method):
    search = msgspec.structs.replace(a_search(), method=method)
    fitting, _ = a_fitting(tmp_path, FakeBackend(diverging(0.3, 0.4)), a_cell(architecture=search, backend="fake"))
    searched = fit(fitting).searched
    assert searched.selected == 1
    lost = [trial for trial in searched.trials if trial.validation_loss is None]
    assert {trial.configuration for trial in lost} == {2, 3}
    assert {(trial.epoch, trial.last, trial.parameters) for trial in lost} == {(0, None, 7)}
    assert "configuration 2 of the search (rate 0.3): the training loss became nan" in capsys.readouterr().err
    assert msgspec.json.decode(msgspec.json.encode(searched), type=Searched) == searched


def test_a_search_of_which_every_configuration_diverges_fails(tmp_path):
    fitting, _ = a_fitting(tmp_path, FakeBackend(diverging(*RATES)), a_cell(architecture=a_search(), backend="fake"))
    with pytest.raises(FloatingPointError, match="every configuration of the search that was tried longest diverged"):
        fit(fitting)


@needs_optuna
@pytest.mark.parametrize("seed", range(3))
def test_optuna_proposes_one_after_the_other(tmp_path, seed):
    search = msgspec.structs.replace(a_search(), method="optuna")
    backend = FakeBackend(dips)
    fitting, told = a_fitting(tmp_path, backend, a_cell(architecture=search, backend="fake", seed=seed))
    fitted = fit(fitting)
    tried, losses = zip(
        *((trial.configuration, trial.validation_loss) for trial in fitted.searched.trials), strict=True
    )
    assert list(search.tries(losses, seed)) == list(zip(tried, search.epochs_of(tried), strict=True))
    assert [variant.recipes[0].epochs for variant in backend.built] == [*search.epochs_of(tried), 5]
    assert [RATES.index(variant.recipes[0].learning_rate) for variant in backend.built[:-1]] == list(tried)
    assert fitted.searched.selected == search.selected(tried, losses)
    assert [epoch for epoch, _, _ in told] == list(range(1, sum(search.epochs_of(tried)) + 5 + 1))
    assert len(told) <= len(epoch_work(fitting.cell)) == 4 * 3 + 5  # a grid's


def test_without_optuna_its_cell_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    cell = a_cell(architecture=msgspec.structs.replace(a_search(), method="optuna"), backend="fake")
    with pytest.raises(Unavailable, match="optuna is not installed"):
        fit(a_fitting(tmp_path, FakeBackend(dips), cell)[0])


def test_a_search_sees_no_test_image(tmp_path):
    backend = FakeBackend(dips)
    fitting, _ = a_fitting(tmp_path, backend, a_cell(architecture=a_search(), backend="fake"))
    fitting.view.met.images[SPLIT.test] = np.nan
    fitting.view.met.targets[SPLIT.test] = np.nan
    fit(fitting)
    for *_, data in backend.calls:
        for array in (data.images, data.targets, data.validation_images, data.validation_targets):
            assert np.isfinite(array).all()


@pytest.mark.parametrize(
    ("method", "interrupted_at"),
    [
        ("grid", (0.3, 3)),
        ("halving", (0.3, 1)),
        ("halving", (0.1, 3)),
        *(pytest.param("optuna", at, marks=needs_optuna) for at in ((0.3, 3), (0.2, 3))),
    ],
)
def test_an_interrupted_search_goes_on_where_it_was(tmp_path, method, interrupted_at):
    cell = a_cell(architecture=msgspec.structs.replace(a_search(), method=method), backend="fake")

    def interrupted(recipe):
        if (recipe.learning_rate, recipe.epochs) == interrupted_at:
            raise KeyboardInterrupt
        return dips(recipe)

    with pytest.raises(KeyboardInterrupt):
        fit(a_fitting(tmp_path, FakeBackend(interrupted), cell)[0])
    done = trials_file(tmp_path, cell).read_bytes().count(b"\n")
    kept = trials_file(tmp_path, cell)
    kept.write_bytes(kept.read_bytes() + b'{"configuration":2,"valid')  # torn by its end
    backend = FakeBackend(dips)
    resumed = fit(a_fitting(tmp_path, backend, cell)[0])
    (tmp_path / "other" / "cache").mkdir(parents=True)
    whole = FakeBackend(dips)
    assert resumed.searched == fit(a_fitting(tmp_path / "other", whole, cell)[0]).searched
    assert len(backend.built) == len(whole.built) - done
    assert done > 0


# --- work ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        a_cell(),
        a_cell(architecture=a_search()),
        a_cell(architecture=msgspec.structs.replace(a_search(), method="halving")),
        transfer_cell(HEAD),
        transfer_cell(HEAD, TUNING),
        a_cell(architecture=a_search().configurations[0].architecture, recipes=(Recipe(4),)),
    ],
)
def test_every_epoch_that_is_reported_has_its_work(tmp_path, cell):
    fitting, told = a_fitting(tmp_path, FakeBackend(lambda r: (1.0,) * r.epochs), cell)
    if isinstance(cell.architecture, Network | Search):
        fit(fitting)
    assert len(epoch_work(cell)) == len(told)
    assert work(cell) > sum(epoch_work(cell)) > -1


def test_fine_tuning_is_more_work_than_a_head():
    head, tuning = epoch_work(transfer_cell(HEAD, TUNING))[-2:]
    assert tuning > 10 * head
    assert training.work(transfer_cell(HEAD)) < training.work(transfer_cell(HEAD, TUNING))


def test_a_variant_is_data():
    variant = Variant("tuned", "", a_search())
    assert msgspec.json.decode(msgspec.json.encode(variant), type=Variant) == variant


# --- images that are moved ------------------------------------------------------------------------------------------


def turned(images, targets, elements):
    return np.where(elements[:, None, None, None] == 1, images[:, ::-1], images), targets + elements[:, None]


TURN = Symmetry("turn", "when it is turned", lambda shape: 2, turned)
MOVED = Recipe(epochs=2, augmented=True)


def seen(tmp_path, backend="fake", seed=0, recipes=(MOVED,)):
    """What each epoch of each recipe shows."""
    network = Network((Flatten(), Dense(2, "linear")))
    fake = FakeBackend()
    fitting, _ = a_fitting(tmp_path, fake, a_cell(architecture=network, recipes=recipes, backend=backend, seed=seed))
    fit(fitting._replace(view=fitting.view._replace(symmetries=(TURN,))))
    return [data.shown(epoch) for *_, data in fake.calls for epoch in range(2)]


def test_epochs_of_an_augmented_recipe_show_moved_images_alike_in_every_backend(tmp_path):
    first, second = seen(tmp_path)
    dataset = a_dataset()
    for images, targets in (first, second):
        moved = targets[:, 0] != dataset.targets[SPLIT.train, 0]
        np.testing.assert_array_equal(images[moved], dataset.images[SPLIT.train][moved, ::-1])
        np.testing.assert_array_equal(images[~moved], dataset.images[SPLIT.train][~moved])
    assert not np.array_equal(first[0], second[0])
    for ours, theirs in zip((first, second), seen(tmp_path, "other"), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    assert not np.array_equal(np.stack([s[0] for s in seen(tmp_path, seed=1)]), np.stack([first[0], second[0]]))
    *_, third, fourth = seen(tmp_path, recipes=(MOVED, MOVED))
    assert not np.array_equal(np.stack([third[0], fourth[0]]), np.stack([first[0], second[0]]))


def test_without_the_switch_nothing_is_moved(tmp_path):
    for images, _ in seen(tmp_path, recipes=(Recipe(epochs=2),)):
        np.testing.assert_array_equal(images, a_dataset().images[SPLIT.train])


def test_features_cannot_be_moved(tmp_path):
    recipe = msgspec.structs.replace(HEAD, augmented=True)
    with pytest.raises(ValueError, match="computed once: no image can be moved"):
        fit(a_fitting(tmp_path, FakeBackend(), transfer_cell(recipe))[0])


def test_a_recipe_may_name_what_it_is_augmented_by(tmp_path):
    """Also a symmetry that is none, which without a name moves nothing."""
    network = Network((Flatten(), Dense(2, "linear")))
    false = msgspec.structs.replace(TURN, exact=False)
    for named, moves in ((True, False), (("turn",), True)):
        backend, recipe = FakeBackend(), Recipe(epochs=2, augmented=named)
        fitting, _ = a_fitting(tmp_path, backend, a_cell(architecture=network, recipes=(recipe,), backend="fake"))
        fit(fitting._replace(view=fitting.view._replace(symmetries=(false,))))
        ((*_, data),) = backend.calls
        assert np.array_equal(data.shown(0)[0], data.images) != moves


# --- patience -------------------------------------------------------------------------------------------------------


def patient(tmp_path, losses, patience):
    """The history of a recipe whose validation losses would be these, and the last weights."""
    backend = FakeBackend(lambda recipe: losses)
    backend.learns = True
    recipe = Recipe(epochs=len(losses), patience=patience)
    network = Network((Flatten(), Dense(2, "linear")))
    fitting, told = a_fitting(tmp_path, backend, a_cell(architecture=network, recipes=(recipe,), backend="fake"))
    model, (history,), _ = fit(fitting)
    assert [epoch for epoch, *_ in told] == list(range(1, len(history.loss) + 1))
    return history.validation_loss, {float(array.flat[0]) for array in model.weights().values()}


def test_training_ends_after_epochs_that_bring_nothing_with_the_weights_of_the_best(tmp_path):
    assert patient(tmp_path, (3.0, 2.0, 2.5, 2.0, 1.0, 1.0), 3) == ((3.0, 2.0, 2.5, 2.0, 1.0, 1.0), {1.0})
    assert patient(tmp_path, (3.0, 2.0, 2.5, 2.0, 1.0, 1.0), 2) == ((3.0, 2.0, 2.5, 2.0), {2.0})
    assert patient(tmp_path, (3.0, 4.0, 1.0), 1) == ((3.0, 4.0), {3.0})


def test_without_patience_the_last_weights_are_taken(tmp_path):
    assert patient(tmp_path, (1.0, 2.0, 3.0), msgspec.UNSET) == ((1.0, 2.0, 3.0), {3.0})


class FakeEstimator:
    """Misses by what its penalty says; keeps what it is trained on."""

    def __init__(self, estimator, calls):
        self.estimator, self.calls = estimator, calls

    def counts(self):
        return Counts(3, 0, {})

    def train(self, data, recipe, schedule, on_epoch):
        assert recipe is None
        self.calls.append(data)
        return History(seconds=0.5)

    def predict(self, images):
        return a_dataset().targets[SPLIT.validation] + self.estimator.alpha


class EstimatorBackend:
    def __init__(self):
        self.calls = []

    def build(self, variant, task, seed):
        return FakeEstimator(variant.architecture, self.calls)


def test_an_estimator_is_chosen_by_its_validation_error(tmp_path):
    penalties = (3.0, 0.5, 1.0)
    search = Search(tuple(Configuration({"alpha": a}, Estimator("ridge", alpha=a)) for a in penalties))
    cell = a_cell(architecture=search, backend="fake")
    fitting, told = a_fitting(tmp_path, EstimatorBackend(), cell)
    fitted = fit(fitting)
    assert fitted.searched.selected == 1
    assert [trial.validation_loss for trial in fitted.searched.trials] == pytest.approx([9.0, 0.25, 1.0])
    assert fitted.model.estimator.alpha == 0.5
    assert epoch_work(cell) == told == []


def test_an_estimator_may_be_shown_each_image_and_what_is_made_of_it(tmp_path):
    cell = a_cell(architecture=Estimator("ridge", moved_by="turn"), backend="fake")
    backend = EstimatorBackend()
    fitting, _ = a_fitting(tmp_path, backend, cell)
    fit(fitting._replace(view=fitting.view._replace(symmetries=(TURN,))))
    (data,) = backend.calls
    plain = a_dataset().images[SPLIT.train]
    np.testing.assert_array_equal(data.images, np.concatenate([plain, plain[:, ::-1]]))
    np.testing.assert_array_equal(data.targets[6:], data.targets[:6] + 1)
    assert len(data.validation_images) == 3
