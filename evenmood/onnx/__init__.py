"""Validate the network's graph and tokenizer, and run the network with onnxruntime."""
