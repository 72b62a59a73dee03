"""The `evenmood` command, and the start-up and exit handling shared by all commands."""
