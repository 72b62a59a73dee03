"""Release of models: card, figures, bundling, and the log of runs."""
