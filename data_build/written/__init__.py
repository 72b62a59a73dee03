"""The written texts, and the resolution of the votes on their labels."""
