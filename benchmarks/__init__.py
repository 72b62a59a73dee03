"""Reproducible speed and memory benchmarks."""
