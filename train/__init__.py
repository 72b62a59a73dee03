"""The Keras 3 training script: `python -m train fit --help`."""
