"""What is claimed about speed and memory, as commands that anybody can run."""
