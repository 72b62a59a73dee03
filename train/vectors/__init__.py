"""Word vectors from fastText files, sentence encoders or training, and misspellings in the vocabulary."""
