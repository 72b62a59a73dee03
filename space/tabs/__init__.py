"""Tabs of the page, one per file."""
