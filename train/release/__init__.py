"""Release of models: card, figures, bundling, and the quality log."""
