"""Text cleaning, tokenization, and windows of long texts."""
