"""A tagger: embedding, a bidirectional LSTM, one more, a tag for each word. torch's second biases stay at zero."""


def keras_model():
    import keras

    L = keras.layers

    return keras.Sequential(
        [
            keras.Input((10,), dtype="int32"),
            L.Embedding(30, 6, name="words"),
            L.Bidirectional(L.LSTM(5, return_sequences=True), name="both"),
            L.LSTM(7, return_sequences=True, name="lstm"),
            L.Dropout(0.25, name="dropout"),
            L.Dense(4, name="tags"),
        ]
    )


def torch_model():
    from torch import nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(30, 6)
            self.both = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
            self.lstm = nn.LSTM(10, 7, batch_first=True)
            self.dropout = nn.Dropout(0.25)
            self.tags = nn.Linear(7, 4)
            for name, parameter in self.named_parameters():
                if "bias_hh" in name:
                    parameter.data.zero_()
                    parameter.requires_grad_(False)

        def forward(self, x):
            x, _ = self.both(self.words(x))
            x, _ = self.lstm(x)
            return self.tags(self.dropout(x))

    return Tagger()


def targets(rng, n):
    return rng.integers(0, 4, (n, 10))


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_loss():
    import torch

    return lambda answered, expected: torch.nn.functional.cross_entropy(answered.transpose(1, 2), expected)


def keras_optimizer():
    import keras

    return keras.optimizers.Adam(3e-3, epsilon=1e-7)


def torch_optimizer(model):
    import torch

    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3, eps=1e-7)
