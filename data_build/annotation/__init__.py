"""Annotation: the app, votes, majority, inter-annotator agreement."""
