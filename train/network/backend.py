"""Choose and configure the Keras backend, before the import of keras fixes it."""

import importlib.util
import os

from evenmood.errors import EvenmoodError

BACKENDS = ("tensorflow", "jax", "torch")


def choose_backend() -> str:
    """Set KERAS_BACKEND to the first installed backend, unless the environment sets it, and return it.

    Raises:
        EvenmoodError: No backend is installed, or the one set in the environment is not.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # not faster, and its results depend on the machine
    requested = os.environ.get("KERAS_BACKEND")
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if not installed:
        raise EvenmoodError("no Keras backend is installed; install one with: pip install --group cpu (or gpu)")
    if requested and requested not in installed:
        choices = ", ".join(installed)
        raise EvenmoodError(f"KERAS_BACKEND is {requested!r}, which is not installed; expected one of: {choices}")
    return os.environ.setdefault("KERAS_BACKEND", installed[0])


def has_gpu() -> bool:
    """Return whether the backend has a GPU."""
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
    """Seed all random generators of Keras, and make TensorFlow's operations deterministic."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
