"""Pieces that several tabs share: answers as HTML, texts in three languages, error messages."""
