"""Visitors' tables: read, scored and counted in separate processes."""
