"""Metrics with bootstrap confidence intervals, and calibration."""
