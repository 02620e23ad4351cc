"""What the commands have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Commands = Any  # argparse keeps the type of its subparsers to itself


def add_command(
    commands: Commands,
    run: Callable[[argparse.Namespace], int | None],
    meaning: str,
    *,
    passes_on: bool = False,
) -> argparse.ArgumentParser:
    """A subcommand of the name of its function.

    Args:
        commands: of the parser.
        run: what it does; returns the exit status, None for 0.
        meaning: one line.
        passes_on: whether arguments that it does not know are Snakemake's.
    """
    tail = " Further arguments, and all after --, are Snakemake's." if passes_on else ""
    parser = commands.add_parser(
        run.__name__,
        help=f"{meaning[0].lower()}{meaning[1:].rstrip('.')}",
        description=f"{meaning}{tail}",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, passes_on=passes_on, parser=parser)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """The campaign's configuration file."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help="the campaign's YAML file")
