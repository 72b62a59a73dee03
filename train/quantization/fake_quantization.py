"""Quantization-aware training: simulate the quantization of the export in the forward pass."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from evenmood.errors import DataError
from train.quantization.int4 import MATMUL_BLOCK, TABLE_BLOCK, int4_blocks

INT4_LAYERS = re.compile(r"encoder\.layer\.\d+\.output\.dense$")
"""Layers with int4 weights and float32 activations; the other linear layers are int8."""
REFRESH_STEPS = 50
"""Training steps between two searches for the scales of int4 weights, which are slow; weights change little."""


class FakeQuantization:
    """Rounds weights and activations of a BERT encoder as `train.encoder.quantize` does; gradients ignore the rounding.

    A network that is trained with these rounding errors loses less when it is quantized.
    Jacob et al. 2018, https://arxiv.org/abs/1712.05877.
    """

    def __init__(self, network: Any) -> None:
        """Change the forward pass of the network's layers; its weights stay float32.

        Raises:
            DataError: The network is no BERT encoder.
        """
        import torch

        if network.config.model_type != "bert":
            raise DataError(f"quantization-aware training requires a bert encoder, not {network.config.model_type}")
        self._network = network
        self._int8: list[_Int8Linear] = []
        self._int4: list[_Int4Linear] = []
        network.bert.embeddings.word_embeddings.register_forward_hook(_round_vectors)
        for name, layer in network.named_modules():
            if isinstance(layer, torch.nn.Linear):
                if INT4_LAYERS.search(name):
                    self._int4.append(_Int4Linear(layer))
                else:
                    self._int8.append(_Int8Linear(layer))

    def calibrate(self, batches: Iterable[Callable[[], Any]]) -> None:
        """Set the ranges of activations to those in these batches, without dropout.

        Args:
            batches: Functions that run the network on a batch.
        """
        import torch

        for int4 in self._int4:
            int4.steps = 0
        for int8 in self._int8:
            int8.low, int8.high, int8.calibrating = 0.0, 0.0, True
        was_training = self._network.training
        self._network.eval()
        with torch.inference_mode():
            for run in batches:
                run()
        self._network.train(was_training)
        for int8 in self._int8:
            int8.calibrating = False


class _Int8Linear:
    """int8 weights with a scale per output, and uint8 activations with one calibrated range."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self.low, self.high, self.calibrating = 0.0, 0.0, False
        layer.forward = self.forward

    def forward(self, inputs: Any) -> Any:
        import torch

        layer = self._layer
        if self.calibrating:
            self.low, self.high = min(self.low, float(inputs.min())), max(self.high, float(inputs.max()))
            return torch.nn.functional.linear(inputs, layer.weight, layer.bias)
        scale = max(self.high - self.low, 1e-8) / 255
        rounded = torch.fake_quantize_per_tensor_affine(inputs.float(), scale, round(-self.low / scale), 0, 255)
        scales = layer.weight.detach().abs().amax(dim=1).clamp(min=1e-8) / 127
        zero_points = torch.zeros_like(scales, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(layer.weight, scales, zero_points, 0, -127, 127)
        return torch.nn.functional.linear(rounded, weight, layer.bias)


class _Int4Linear:
    """int4 weights with a scale per block."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._scales: Any = None
        self.steps = 0
        layer.forward = self.forward

    def forward(self, inputs: Any) -> Any:
        import torch

        weight = self._layer.weight
        if self.steps % REFRESH_STEPS == 0:
            _, scales = int4_blocks(weight.detach().cpu().numpy(), MATMUL_BLOCK)
            self._scales = torch.from_numpy(scales[..., None]).to(weight.device)
        self.steps += self._layer.training
        with torch.no_grad():
            blocks = weight.view(*self._scales.shape[:2], -1)
            rounded = ((blocks / self._scales).round().clamp(-8, 7) * self._scales).view_as(weight)
        return torch.nn.functional.linear(inputs, weight + (rounded - weight).detach(), self._layer.bias)


def _round_vectors(embedding: Any, arguments: tuple[Any, ...], vectors: Any) -> Any:
    """Round the vectors of a batch's tokens to int4, as a forward hook of the token table."""
    import torch

    tokens, rows = arguments[0].unique(return_inverse=True)
    table = embedding.weight.detach()[tokens].cpu().numpy()
    codes, scales = int4_blocks(table, TABLE_BLOCK)
    rounded = codes.reshape(*scales.shape, -1).astype(np.float32) * scales[..., None]
    return vectors + (torch.from_numpy(rounded.reshape(table.shape)).to(vectors.device)[rows] - vectors).detach()
