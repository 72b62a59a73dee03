"""The stages, a file each, and what makes them resumable."""
