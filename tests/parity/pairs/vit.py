"""A small vision transformer: patches, class token and positions, attention before which a layer norm stands, GELU."""

PATCHES, WIDTH, HEADS = 16, 12, 3


def keras_model():
    import keras

    L = keras.layers

    class Tokens(L.Layer):
        """Puts the class token before the patches, and adds positions."""

        def build(self, shape):
            self.token = self.add_weight(shape=(1, 1, WIDTH), name="token")
            self.positions = self.add_weight(shape=(1, PATCHES + 1, WIDTH), name="positions")

        def call(self, patches):
            first = keras.ops.repeat(self.token, keras.ops.shape(patches)[0], axis=0)
            return keras.ops.concatenate([first, patches], axis=1) + self.positions

    def norm(name):
        return L.LayerNormalization(epsilon=1e-6, name=name)

    images = keras.Input((16, 16, 3))
    x = L.Conv2D(WIDTH, 4, 4, name="patches")(images)
    x = Tokens(name="tokens")(L.Reshape((PATCHES, WIDTH))(x))
    for place in (0, 1):
        y = norm(f"norm{place}_1")(x)
        x = L.Add()([x, L.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=0.1, name=f"attention{place}")(y, y)])
        y = L.Dense(24, activation="gelu", name=f"mlp{place}_1")(norm(f"norm{place}_2")(x))
        x = L.Add()([x, L.Dense(WIDTH, name=f"mlp{place}_2")(y)])
    x = L.Lambda(lambda x: x[:, 0])(norm("norm")(x))
    return keras.Model(images, L.Dense(5, name="head")(x))


def torch_model():
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
            self.attn = nn.MultiheadAttention(WIDTH, HEADS, dropout=0.1, batch_first=True)
            self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
            self.fc1, self.fc2, self.gelu = nn.Linear(WIDTH, 24), nn.Linear(24, WIDTH), nn.GELU()

        def forward(self, x):
            y = self.norm1(x)
            x = x + self.attn(y, y, y, need_weights=False)[0]
            return x + self.fc2(self.gelu(self.fc1(self.norm2(x))))

    class ViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.pos_embed = nn.Parameter(torch.zeros(1, PATCHES + 1, WIDTH))
            self.patch_embed = nn.Conv2d(3, WIDTH, 4, 4)
            self.blocks = nn.ModuleList([Block(), Block()])
            self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
            self.head = nn.Linear(WIDTH, 5)

        def forward(self, x):
            x = self.patch_embed(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)[:, 0])

    return ViT()


def targets(rng, n):
    return rng.integers(0, 5, n)


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def torch_loss():
    import torch

    return torch.nn.CrossEntropyLoss()


def keras_optimizer():
    import keras

    return keras.optimizers.AdamW(1e-3, weight_decay=0.01, epsilon=1e-8)


def torch_optimizer(model):
    import torch

    return torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
