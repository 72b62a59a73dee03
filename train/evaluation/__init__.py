"""Evaluate trained models: splits, everyday texts, robustness, seeds, studies on validation."""
