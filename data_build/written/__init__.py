"""The written texts, and how their annotators' votes became labels."""
