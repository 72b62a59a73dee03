"""Teacher labels: probabilities computed on a Ray cluster, and the gates that turn them into labels."""
