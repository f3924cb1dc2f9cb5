"""Tabular data: two columns of categories, each with an embedding, beside numbers; the model is subclassed."""

inputs = {"shop": {"shape": (), "below": 12}, "day": {"shape": (), "below": 7}, "numbers": (5,)}


def keras_model():
    import keras

    L = keras.layers

    class Tabular(keras.Model):
        def __init__(self):
            super().__init__()
            self.shop = L.Embedding(12, 4, name="shop")
            self.day = L.Embedding(7, 3, name="day")
            self.norm = L.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm")
            self.hidden = [
                L.Dense(16, activation="relu", name="hidden1"),
                L.Dense(16, activation="relu", name="hidden2"),
            ]
            self.drop = L.Dropout(0.1, name="drop")
            self.out = L.Dense(1, name="out")

        def call(self, given, training=False):
            parts = [self.shop(given["shop"]), self.day(given["day"]), self.norm(given["numbers"], training=training)]
            x = keras.ops.concatenate(parts, axis=-1)
            for layer in self.hidden:
                x = layer(x)
            return self.out(self.drop(x, training=training))

    return Tabular()


def torch_model():
    import torch
    from torch import nn

    class Tabular(nn.Module):
        def __init__(self):
            super().__init__()
            self.shop_emb, self.day_emb = nn.Embedding(12, 4), nn.Embedding(7, 3)
            self.bn = nn.BatchNorm1d(5)
            self.fc1, self.fc2, self.fc3 = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 1)
            self.drop = nn.Dropout(0.1)

        def forward(self, shop, day, numbers):
            x = torch.cat([self.shop_emb(shop), self.day_emb(day), self.bn(numbers)], dim=-1)
            x = torch.relu(self.fc2(torch.relu(self.fc1(x))))
            return self.fc3(self.drop(x))

    return Tabular()


def targets(rng, n):
    return rng.normal(size=(n, 1))


def keras_loss():
    return "huber"


def torch_loss():
    import torch

    return torch.nn.HuberLoss()


def keras_optimizer():
    import keras

    return keras.optimizers.Adam(1e-2, epsilon=1e-8)


def torch_optimizer(model):
    import torch

    return torch.optim.Adam(model.parameters(), 1e-2)
