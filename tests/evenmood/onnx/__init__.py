"""Tests of evenmood.onnx."""
