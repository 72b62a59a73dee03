"""Building and publishing the data set: `python -m data_build --help`."""
