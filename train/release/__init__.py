"""Model card, figures, bundling and the quality log."""
