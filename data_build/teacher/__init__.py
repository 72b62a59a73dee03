"""The teacher's probabilities: computed on a cluster, and the gates that turn them into labels."""
