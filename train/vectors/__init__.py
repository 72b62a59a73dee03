"""Word vectors: fastText files, sentence encoders, misspellings."""
