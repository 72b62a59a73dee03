"""The model folder: read, check, write, download, push."""
