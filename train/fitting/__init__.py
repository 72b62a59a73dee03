"""Training runs: data, epochs, batches, checkpoints, and writing the model folder."""
