"""Prediction on many machines, with Ray."""
