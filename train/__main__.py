"""Command line for training, evaluation and publishing: `python -m train --help`."""

from evenmood.cli.command import run
from train.cli import encoder_commands, fit_commands, hub_commands, study_commands, teacher_commands  # noqa: F401 - each registers its commands
from train.cli.commands import app


def main() -> None:
    """Run the command line."""
    run(app, "python -m train")


if __name__ == "__main__":
    main()
