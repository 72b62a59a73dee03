"""Annotation: the app, votes, majority resolution, inter-annotator agreement."""
