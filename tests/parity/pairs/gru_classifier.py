"""Embedding, two GRUs of which the second answers with its last state, a class."""


def keras_model():
    import keras

    L = keras.layers

    return keras.Sequential(
        [
            keras.Input((9,), dtype="int32"),
            L.Embedding(25, 6, name="words"),
            L.GRU(5, return_sequences=True, name="first"),
            L.GRU(8, name="second"),
            L.Dense(6, activation="tanh", name="hidden"),
            L.Dense(3, name="classes"),
        ]
    )


def torch_model():
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(25, 6)
            self.gru1 = nn.GRU(6, 5, batch_first=True)
            self.gru2 = nn.GRU(5, 8, batch_first=True)
            self.hidden = nn.Linear(8, 6)
            self.out = nn.Linear(6, 3)

        def forward(self, x):
            x, _ = self.gru1(self.embedding(x))
            _, last = self.gru2(x)
            return self.out(torch.tanh(self.hidden(last[-1])))

    return Classifier()


def targets(rng, n):
    return rng.integers(0, 3, n)


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_loss():
    import torch

    return torch.nn.CrossEntropyLoss()


def keras_optimizer():
    import keras

    return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def torch_optimizer(model):
    import torch

    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
