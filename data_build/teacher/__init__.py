"""Teacher labels: probabilities computed on a Ray cluster, and the acceptance rules that turn them into labels."""
