"""Run the `evenmood` command as `python -m evenmood`."""

from evenmood.cli.commands import main

if __name__ == "__main__":
    main()
