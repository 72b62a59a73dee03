"""The network: its graph and tokenizer checked, then run by onnxruntime."""
