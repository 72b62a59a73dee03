"""Distributed prediction with Ray."""
