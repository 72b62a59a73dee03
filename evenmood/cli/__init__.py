"""The `evenmood` command, and start-up and exit handling shared by all commands."""
