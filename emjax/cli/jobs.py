"""Stand-alone jobs, a command each: draft the configuration from the arguments, and run it."""

import argparse
from pathlib import Path
from typing import Any

from emjax.cli.command import Commands, add_command, add_profile, add_verbose, run_config


def add_commands(commands: Commands) -> None:
    """Add them to the parser."""
    parser = add_command(
        commands,
        rebalance,
        "Group classes made before into superclasses, and even out their sizes.",
        passes_on=True,
    )
    parser.add_argument(
        "classes",
        metavar="CLASSES",
        type=Path,
        help="2D or 3D classes: RELION job folder or _data.star, CryoSPARC .cs",
    )
    parser.add_argument(
        "references",
        metavar="REFERENCES",
        nargs="*",
        type=Path,
        help="their averages, or a map per class (default: found beside CLASSES)",
    )
    parser.add_argument(
        "--superclasses", metavar="N", type=int, help="number of superclasses (default: auto)"
    )
    parser.add_argument(
        "--factor",
        metavar="R",
        type=float,
        help="0 discards nothing, 1 makes all superclasses equal (default: 0)",
    )
    _add_switch(parser, "--mirror", "compare 2D averages with their mirror images too")
    _add_switch(parser, "--align", "align 3D maps before they are compared")
    _add_output(parser)


def rebalance(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    from emjax.campaign.draft import draft_rebalance

    chosen = {
        name: getattr(options, name) for name in ("superclasses", "factor", "mirror", "align")
    }
    config = draft_rebalance(options.classes, options.references, options.output, chosen)
    return _run(config, options)


def _run(config: dict[str, Any], options: argparse.Namespace) -> int:
    """Write the configuration beside its results' folder, say where it is, and run it."""
    from emjax.campaign.draft import write_draft

    path = write_draft(config)
    print(f"options: {path}", flush=True)
    return run_config(path, options)


def _add_switch(parser: argparse.ArgumentParser, name: str, meaning: str) -> None:
    """An option that stays at the schema's default where it is not given."""
    parser.add_argument(name, action="store_const", const=True, help=meaning)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="NAME",
        help="of results/NAME and NAME.yaml (default: after the input)",
    )
    add_profile(parser)
    add_verbose(parser)
