"""Commands: `python -m emjax convert SOURCE TARGET`, `python -m emjax export RESULTS PARTICLES`."""

from __future__ import annotations

import argparse
import sys
import warnings

from emjax import convert, export
from emjax.errors import InputError

_COMMANDS = {
    "convert": (convert, "particle files between RELION (.star) and CryoSPARC (.cs)"),
    "export": (export, "a campaign's classes for RELION, CryoSPARC, cryoDRGN and ChimeraX"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; wrong input ends in one line and exit status 1."""
    parser = argparse.ArgumentParser("python -m emjax")
    commands = parser.add_subparsers(required=True)
    for name, (module, meaning) in _COMMANDS.items():
        command = commands.add_parser(name, help=meaning, description=meaning)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(
            f"emjax: warning: {message}", file=sys.stderr
        )
        try:
            options.run(options)
        except InputError as error:
            print(f"emjax: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
