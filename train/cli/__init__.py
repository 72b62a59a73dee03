"""Commands of `python -m train`."""
