"""Training in Hub jobs."""
