"""Written texts, and the resolution of their annotators' votes."""
