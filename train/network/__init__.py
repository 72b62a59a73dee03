"""The paper's network: layers, losses, backend, devices, export to ONNX."""
