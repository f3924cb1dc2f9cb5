"""What Keras does not settle alike for the libraries under it: threads, determinism, device, and what `fit` takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from numpy.typing import NDArray

from backends._torch_device import on_torch
from harness.errors import Unavailable
from harness.model.architecture import Shape
from harness.text import Device

Pair = tuple[NDArray[Any], NDArray[Any]]
Shapes = tuple[Shape, Shape]  # of one image and of its targets


class Engine(Protocol):
    """A library that Keras computes with."""

    def configure(self, threads: int, device: Device) -> dict[str, str]:
        """Set threads, deterministic operations and device, and read back what the library tells of them.

        Raises Unavailable where it finds no such device.
        """
        ...

    def batches(self, epochs: Callable[[], Iterator[Pair]], shapes: Shapes, batch_size: int) -> Any:
        """What `fit` takes as its data: each epoch's images and targets, in batches, the last being the remainder."""
        ...

    def validation(self, pair: Pair, batch_size: int) -> dict[str, Any]:
        """The arguments with which `fit` validates on this pair after each epoch; on none where it is empty."""
        ...


def engine(name: str) -> Engine:
    """The engine that Keras calls by this name. Raises Unavailable for another, which nobody here has tried."""
    found: dict[str, type[Engine]] = {"tensorflow": TensorFlow, "torch": Torch, "jax": Jax}
    if name not in found:
        raise Unavailable(f"KERAS_BACKEND={name}: known are {', '.join(found)}")
    return found[name]()


def _told(intra: object, inter: object, deterministic: object) -> dict[str, str]:
    told = {"intra_op_threads": intra, "inter_op_threads": inter, "deterministic": deterministic}
    return {name: str(value) for name, value in told.items()}


class TensorFlow:
    """TensorFlow, of which NumPy's arrays are the slow way in."""

    def __init__(self) -> None:
        self._tf = importlib.import_module("tensorflow")

    def configure(self, threads: int, device: Device) -> dict[str, str]:
        """See `Engine.configure`. TensorFlow does not tell whether its operations are deterministic; it was told."""
        config = self._tf.config
        config.threading.set_intra_op_parallelism_threads(threads)
        config.threading.set_inter_op_parallelism_threads(1)
        config.experimental.enable_op_determinism()
        threading = config.threading
        told = {
            "tensorflow": self._tf.__version__,
            **_told(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads(), True),
        }
        if device == "cpu":
            config.set_visible_devices([], "GPU")
            return {**told, "device": "cpu"}
        if not (found := config.list_physical_devices("GPU")):
            raise Unavailable(f"device={device}, but TensorFlow finds no GPU here")
        config.experimental.enable_tensor_float_32_execution(device == "cuda-tf32")
        name = config.experimental.get_device_details(found[0]).get("device_name", "GPU")
        return {**told, "device": name, "tf32": str(config.experimental.tensor_float_32_execution_enabled())}

    def batches(self, epochs: Callable[[], Iterator[Pair]], shapes: Shapes, batch_size: int) -> Any:
        """See `Engine.batches`."""
        data = self._tf.data.Dataset
        signature = tuple(self._tf.TensorSpec((None, *shape), "float32") for shape in shapes)
        whole = data.from_generator(epochs, output_signature=signature)
        return self._quiet(whole.flat_map(lambda *shown: data.from_tensor_slices(shown).batch(batch_size)))

    def validation(self, pair: Pair, batch_size: int) -> dict[str, Any]:
        """See `Engine.validation`."""
        return {"validation_data": self._quiet(self._tf.data.Dataset.from_tensor_slices(pair).batch(batch_size))}

    def _quiet(self, dataset: Any) -> Any:
        """Without autotuning: it searches for buffers and threads that epochs this short never need, and waits for
        them.
        """
        options = self._tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        options.deterministic = True
        return dataset.with_options(options)


class _Slices:
    """Feeds an engine that takes NumPy's arrays."""

    def batches(self, epochs: Callable[[], Iterator[Pair]], shapes: Shapes, batch_size: int) -> Iterator[Pair]:
        """See `Engine.batches`."""
        for images, targets in epochs():
            for start in range(0, len(images), batch_size):
                part = slice(start, start + batch_size)
                yield images[part], targets[part]

    def validation(self, pair: Pair, batch_size: int) -> dict[str, Any]:
        """See `Engine.validation`."""
        return {"validation_data": pair if len(pair[0]) else None, "validation_batch_size": batch_size}


class Torch(_Slices):
    """PyTorch."""

    def configure(self, threads: int, device: Device) -> dict[str, str]:
        """See `Engine.configure`."""
        told = on_torch(threads, device)
        # Which Keras read when it was imported, from KERAS_TORCH_DEVICE or from what there is.
        computes_on = importlib.import_module("keras").ops.convert_to_tensor(0.0).device.type
        if computes_on != device.partition("-")[0]:
            raise Unavailable(f"device={device}, but Keras on torch computes on {computes_on}: see KERAS_TORCH_DEVICE")
        return told


class Jax(_Slices):
    """JAX, which neither takes nor tells threads while it runs."""

    def configure(self, threads: int, device: Device) -> dict[str, str]:
        """See `Engine.configure`."""
        jax, told = importlib.import_module("jax"), _told(*["unknown"] * 3)
        if device == "cpu":
            jax.config.update("jax_platforms", "cpu")
            return {**told, "device": "cpu"}
        if not (found := [gpu for gpu in jax.devices() if gpu.platform == "gpu"]):
            raise Unavailable(f"device={device}, but JAX finds no GPU here")
        precision = "tensorfloat32" if device == "cuda-tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", precision)
        return {**told, "device": found[0].device_kind, "tf32": str(precision == "tensorfloat32")}
