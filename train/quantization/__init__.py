"""Quantization of weights to int4, and its simulation in training."""
