"""Evaluate models on data sets with other labels."""
