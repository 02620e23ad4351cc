"""Commands: `python -m emjax convert SOURCE TARGET`."""

from __future__ import annotations

import argparse
import sys

from emjax import convert
from emjax.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; wrong input ends in one line and exit status 1."""
    parser = argparse.ArgumentParser("python -m emjax", description="emjax")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser(
        "convert", help="particle files between RELION (.star) and CryoSPARC (.cs)"
    )
    convert.add_arguments(command)
    command.set_defaults(run=convert.run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except InputError as error:
        print(f"emjax: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
