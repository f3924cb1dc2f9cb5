"""What keras.applications itself says of the backbones, in an interpreter of its own: prints one JSON object.

`python -m tests.backends.applications FOLDER` also writes each backbone's weights into FOLDER in the format of the
official files, reads them back by both Keras's loader and the harness's, and tells whether they agree.
"""

import contextlib
import inspect
import json
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format

from backends import keras as backend
from harness.model import backbones, pretrained
from harness.model.architecture import Backbone, Dense, GlobalAveragePool2D, Network
from harness.model.variants import Variant
from tests.backends.conformance import a_task, images

MODULES = {
    "vgg16": (keras.applications.vgg16, keras.applications.VGG16),
    "resnet50": (keras.applications.resnet, keras.applications.ResNet50),
    "densenet121": (keras.applications.densenet, keras.applications.DenseNet121),
}


def arrays(body):
    return {f"{layer.name}/{v.name}": np.array(v) for layer in body.layers for v in layer.weights}


def preprocessing_differs(family):
    """Largest difference between the harness's affine map and `preprocess_input` of the grey image in 0..255."""
    pictures = np.random.default_rng(0).random((2, 32, 32, 1)).astype(np.float32)
    scale, offset = backbones.preprocessing(family)
    ours = pictures * np.array(scale) + np.array(offset)
    theirs = MODULES[family][0].preprocess_input(np.repeat(255 * pictures, 3, axis=-1))
    return float(np.abs(ours - theirs).max())


def forward_differs(family, body):
    """Between the backend's layer and `preprocess_input` then keras.applications' model, relative to the largest."""
    layer = backend._layer("backbone_1", Backbone(family), a_task(32))
    layer.get_layer("body").set_weights(body.get_weights())
    pictures = images(3, 32)
    theirs = np.array(body(MODULES[family][0].preprocess_input(np.repeat(255 * pictures, 3, axis=-1)), training=False))
    return float(np.abs(np.array(layer(pictures, training=False)) - theirs).max() / np.abs(theirs).max())


def write_official(path, body, old_names):
    """The format of the official files; old ones have `/` in the names of DenseNet's layers, and names of arrays of
    their own.
    """
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, body)
        if old_names:
            names = [name.decode() if isinstance(name, bytes) else name for name in file.attrs["layer_names"]]
            new = [name.replace("_conv", "/conv", 1) if name.startswith("conv1_conv") else name for name in names]
            for before, after in zip(names, new, strict=True):
                if before != after:
                    file.move(before, "moved")
                    file.move("moved", after)
            file.attrs["layer_names"] = [name.encode() for name in new]


def files_agree(family, body, folder):
    path = Path(folder) / f"{family}.h5"
    rng = np.random.default_rng(1)  # near what they were, so that what images are turned into stays finite
    body.set_weights([(w * rng.uniform(0.9, 1.1, w.shape) + 0.01).astype(np.float32) for w in body.get_weights()])
    write_official(path, body, old_names=family == "densenet121")
    other = MODULES[family][1](include_top=False, weights=None, input_shape=(32, 32, 3))
    other.load_weights(path)  # Keras's own reading of the same file
    theirs, ours = arrays(other), pretrained.read(path, family)
    return list(theirs.keys() - ours.keys()) + [name for name in ours if not np.array_equal(ours[name], theirs[name])]


def predictions_agree(family, folder):
    """Whether the harness's model, with what the harness reads of the file, and Keras's, which is given the file, make
    the same of images, bit for bit.
    """
    path = Path(folder) / f"{family}.h5"
    theirs = MODULES[family][1](include_top=False, weights=str(path), input_shape=(32, 32, 3))
    network = Network((Backbone(family), GlobalAveragePool2D(), Dense(2, "linear")))
    ours = backend.build(Variant(family, "", network), a_task(32), 0)
    ours.set_weights(ours.weights() | {f"backbone_1/{n}": a for n, a in pretrained.read(path, family).items()})
    seen = ours.activations(images(3, 32))
    return bool(np.array_equal(theirs(seen["backbone_1/preprocessing"], training=False), seen["backbone_1"]))


def main(folder):
    told = {}
    for family, (_, build) in MODULES.items():
        body = build(include_top=False, weights=None, input_shape=(32, 32, 3))
        source = Path(inspect.getsourcefile(build)).read_text()
        told[family] = {
            "shapes": {name: list(array.shape) for name, array in arrays(body).items()},
            "preprocessing": preprocessing_differs(family),
            "forward": forward_differs(family, body),
            "files": files_agree(family, body, folder),
            "predictions": predictions_agree(family, folder),
            "md5 known": pretrained.SOURCES[family].md5 in source,
        }
    return told


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = main(sys.argv[1])
    print(json.dumps(found))
