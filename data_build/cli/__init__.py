"""Commands of `python -m data_build`."""
