"""Training runs: epochs, batches, checkpoints, and the model folder they end in."""
