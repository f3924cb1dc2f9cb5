"""What happens to a head on random features, and to a network that is fine-tuned from there.

`python -m tests.backends.transfer` prints the tables of docs/transfer.md: of each backbone, from the random weights of
seed 0, what its features are like, what a head makes of them as they are and centred, and what the first steps of
fine-tuning do to the loss, with batch norms in training mode and frozen.
"""

import itertools
import sys

import msgspec
import numpy as np

from harness import registry
from harness.judging.records import Settings
from harness.model.architecture import initial_weights
from harness.model.variants import Recipe, Schedule, Variant
from harness.protocol import TrainingData
from harness.running.centring import Centring
from harness.running.data import DataSource, task

EPOCHS = 100
RATES = (1e-4, 1e-5, 1e-6)
GENTLE = (1e-6,) * 4, (3e-6,) * 4, (1e-5,) * 4, (1e-6, 1e-5, 1e-5, 1e-5)
FAMILIES = ("vgg16", "resnet50", "densenet121")


class Trial:
    """A backbone with its random weights, and a head that is trained on its features."""

    def __init__(self, family, backend):
        suite = registry.suite("elasticity")
        dataset = DataSource().load(suite)
        self.split = suite.split(dataset)
        self.images, self.targets = dataset.images, dataset.targets
        self.task = task(suite, dataset, self.split, Settings())
        (head_only,) = [variant for variant in suite.VARIANTS if variant.name == f"{family}-head-only"]
        self.network, recipe = head_only.architecture, head_only.recipes[0]
        self.recipe = msgspec.structs.replace(recipe, epochs=EPOCHS)
        self.model = backend.build(Variant(family, "", self.network, (self.recipe,)), self.task, 0)
        self.start = initial_weights(self.network, self.task.input_shape, 0)
        self.model.set_weights(self.start)
        self.features = self.model.features(self.images)

    def data(self, inputs):
        train, validation = self.split.train, self.split.validation
        return TrainingData(inputs[train], self.targets[train], inputs[validation], self.targets[validation])

    def train_head(self, centred):
        """Train the head anew, on features as they are or centred; the model is then of features as they are."""
        self.model.set_weights(self.start)
        centring = Centring.of(self.features[self.split.train])
        shown = centring.shown(self.features) if centred else self.features
        schedule = Schedule.drawn(self.recipe, len(self.split.train), 0)
        self.model.train(self.data(shown), self.recipe, schedule, lambda *_: None)
        weights = self.model.weights()
        hidden = shown @ weights["dense_1/kernel"] + weights["dense_1/bias"]
        if centred:
            self.model.set_weights(centring.folded(weights, self.network))
        return int((hidden[self.split.train] > 0).any(axis=0).sum())

    def skill(self, rows):
        """Of the model as it is."""
        scaled = (self.model.predict(self.images[rows]) - self.targets[rows]) / self.task.scaling.scale
        of_mean = (self.targets[rows] - self.task.scaling.offset) / self.task.scaling.scale
        return 1 - np.mean(scaled**2) / np.mean(of_mean**2)

    def losses(self, trains, rate):
        """Of the first batch before any step, in training mode; of the epoch; and of the validation images after it."""
        before = self.model.weights()
        recipe = Recipe(epochs=1, learning_rate=rate, trains=trains)
        schedule = Schedule.drawn(recipe, len(self.split.train), 0, 1)
        first = self.split.train[schedule.order[0, : recipe.batch_size]]
        loss, _ = self.model.loss_and_gradients(self.images[first], self.targets[first], recipe)
        self.model.set_weights(before)
        history = self.model.train(self.data(self.images), recipe, schedule, lambda *_: None)
        self.model.set_weights(before)
        return loss, history.loss[0], history.validation_loss[0]

    def gently(self, rates):
        """Validation losses of epochs at these rates, one recipe each, with batch norms frozen."""
        before, losses = self.model.weights(), []
        for stage, rate in enumerate(rates, 1):
            recipe = Recipe(epochs=1, learning_rate=rate, trains="all-but-norms")
            schedule = Schedule.drawn(recipe, len(self.split.train), 0, stage)
            losses += self.model.train(self.data(self.images), recipe, schedule, lambda *_: None).validation_loss
        self.model.set_weights(before)
        return losses

    def validation_loss(self):
        """Of the model as it is, in inference mode."""
        rows = self.split.validation
        return np.mean(((self.model.predict(self.images[rows]) - self.targets[rows]) / self.task.scaling.scale) ** 2)


def main(families):
    backend = registry.backend("pytorch")
    backend.configure(1, "cpu")
    for family in families:
        trial = Trial(family, backend)
        of_training = trial.features[trial.split.train].astype(np.float64)
        scatter = np.sqrt(np.mean(of_training.var(axis=0)))
        print(
            f"{family}: {of_training.shape[1]} features, mean {of_training.mean():.3g}, largest "
            f"{of_training.max():.3g}, standard deviation over images {scatter:.3g}"
        )
        for centred in (False, True):
            tell_of(trial, centred)


def tell_of(trial, centred):
    """Train a head, and see how it would be fine-tuned."""
    alive = trial.train_head(centred)
    on_validation, on_test = (trial.skill(rows) for rows in (trial.split.validation, trial.split.test))
    print(
        f"  head on features {'centred' if centred else 'as they are'}: {alive} of 16 hidden units live; skill "
        f"{on_validation:.3f} on validation images, {on_test:.3f} on test images; validation loss "
        f"{trial.validation_loss():.3g}",
        flush=True,
    )
    norms = any(name.endswith("/gamma") for name in trial.start)
    for trains, rate in itertools.product(("all", "all-but-norms") if norms else ("all",), RATES):
        first, epoch, after = trial.losses(trains, rate)
        print(
            f"    fine-tuned, {trains}, rate {rate:g}: loss of the first batch before any step {first:.3g}, of the "
            f"epoch {epoch:.3g}, of validation after it {after:.3g}",
            flush=True,
        )
    for rates in GENTLE if norms and centred else ():
        losses = " ".join(f"{loss:.4f}" for loss in trial.gently(rates))
        print(f"    all-but-norms, an epoch each at {rates}: validation losses {losses}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or FAMILIES)
