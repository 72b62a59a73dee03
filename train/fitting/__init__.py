"""Training runs: data, batches, epochs, checkpoints, and the model folder."""
