"""Cleaning and tokenizing texts, and reading long ones in windows."""
