"""Labeled data sets: rows, splits, build folders, leakage, tweets."""
