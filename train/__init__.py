"""Training, evaluation and publishing of emotion classifiers: `python -m train --help`."""
