"""The `evenmood` command, and how every command of the project starts and ends."""
