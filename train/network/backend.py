"""Choosing and preparing Keras's backend before `import keras` freezes the choice."""

import importlib.util
import os

from evenmood.errors import EvenmoodError

BACKENDS = ("tensorflow", "jax", "torch")


def choose_backend() -> str:
    """Set KERAS_BACKEND to the first installed backend, unless the environment names one, and return it.

    Raises:
        EvenmoodError: None is installed, or the one that the environment names is not.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # no faster here, and its sums change with the machine
    named = os.environ.get("KERAS_BACKEND")
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if named and named not in installed:
        raise EvenmoodError(f"KERAS_BACKEND is {named!r}, which is not installed (installed: {installed or 'none'})")
    if not installed:
        raise EvenmoodError("no Keras backend is installed: pip install --group cpu (or gpu), or install jax")
    return os.environ.setdefault("KERAS_BACKEND", installed[0])


def has_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    backend = os.environ["KERAS_BACKEND"]
    if backend == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    import torch

    return bool(torch.cuda.is_available())


def make_deterministic(seed: int) -> None:
    """Seed everything that Keras draws from, and ask TensorFlow for repeatable sums."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
