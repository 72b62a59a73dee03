"""Stages of the build, one per file."""
