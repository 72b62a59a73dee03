"""Evaluation of trained models: splits, everyday benchmark, robustness, seeds, studies on the validation split."""
