"""What the commands have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emjax.campaign.shipped import shipped

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


def add_profile(parser: argparse.ArgumentParser) -> None:
    """Where Snakemake's jobs run."""
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="gpu, slurm or slurm-gpu, which come with emjax, or a folder (default: this machine)",
    )
    # Partitions and accounts are each cluster's own.
    parser.epilog = f"To change a profile, copy it from {shipped('profiles')} and name the copy."


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Whether Snakemake's lines are shown."""
    parser.add_argument("--verbose", action="store_true", help="let Snakemake speak too")


def run_config(config: Path, options: argparse.Namespace) -> int:
    """Run the workflow on a configuration; Snakemake's exit status.

    Args:
        config: the YAML file.
        options: `profile`, `verbose` and `further` of the command.
    """
    from emjax.campaign.engine import run_snakemake, snakemake_command
    from emjax.campaign.settings import read_config

    # Wrong options are reported before Snakemake starts.
    read_config(config)
    command = snakemake_command(
        config, options.further, profile=options.profile, verbose=options.verbose
    )
    return run_snakemake(command, verbose=options.verbose)
