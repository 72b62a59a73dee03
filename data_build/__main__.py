"""Build and publish the data set: `python -m data_build STAGE --help`."""

# Importing a module registers its commands. `--help` lists them in import order.
from data_build.cli import stage_commands, review_commands, release_commands  # noqa: F401, I001
from data_build.cli.commands import app
from evenmood.cli.command import run

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    run(app, "python -m data_build")


if __name__ == "__main__":
    main()
