"""The paper's network: layers, losses, backend, distribution, export to ONNX."""
