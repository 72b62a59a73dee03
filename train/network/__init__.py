"""Network of the paper (arXiv 2511.14073): layers, losses, backend, distribution, export to ONNX."""
