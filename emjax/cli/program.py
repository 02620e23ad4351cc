"""Reads the command line, calls one function of the library, and says wrong input in one line."""

import argparse
import math
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from emjax.campaign.environment import check_packages, hear_jax
from emjax.cli import campaigns, completion, files, jobs

DESCRIPTION = """\
Campaigns of many seeded cryo-EM classifications, and the consensus that says which classes are
real. A first campaign: emjax init PARTICLES, emjax check CONFIG, emjax run CONFIG. Relative paths
start in the folder where the command runs, and results go there."""


# The blanks keep a command and its meaning on one line; argparse counts two too few.
_COMMAND = "COMMAND".ljust(12)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Without the blanks of the help."""
        super().error(message.replace(_COMMAND, _COMMAND.strip()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; wrong input ends in one line and exit status 1, a wrong command line in 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    arguments, further = _divide(arguments)
    parser = build_parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown and options.passes_on:
        arguments, apart = _set_apart(arguments, unknown, options.parser)
        options, unknown = parser.parse_known_args(arguments)
        # What is left are targets, which Snakemake would take for the words of an option before.
        unknown += apart
    if (unknown or further) and not options.passes_on:
        options.parser.error(f"unrecognized arguments: {' '.join([*unknown, *further])}")
    options.further = [*unknown, *further]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        hear_jax(lambda line: None)
        try:
            check_packages()
            return options.run(options) or 0
        except BrokenPipeError:
            # The reader of a pipe has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (ValueError, OSError) as error:
            print(f"error: {_one_line(error, getattr(options, 'config', None))}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130


def build_parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    parser = _Parser(
        "emjax",
        description=DESCRIPTION,
        usage="emjax [-h] [--version] COMMAND ...",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"emjax {version('emjax')}")
    commands = parser.add_subparsers(
        title="commands",
        metavar=_COMMAND,
        prog="emjax",
        required=True,
        parser_class=argparse.ArgumentParser,
    )
    campaigns.add_commands(commands)
    jobs.add_commands(commands)
    files.add_commands(commands)
    completion.add_commands(commands, parser)
    return parser


def _divide(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after the first `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _set_apart(
    arguments: list[str], unknown: list[str], parser: argparse.ArgumentParser
) -> tuple[list[str], list[str]]:
    """Ours, and Snakemake's options with their words: `2` of `--cores 2` is no file.

    What neither knows is an error of our parser: Snakemake's usage fills screens.
    """
    from snakemake.cli import get_argument_parser
    from snakemake.exceptions import CliException

    snakemakes = get_argument_parser()
    known = snakemakes._option_string_actions
    ours, theirs, room = list[str](), list[str](), 0.0
    for word in arguments:
        if word.startswith("-"):
            apart = word in unknown
            action = known.get(word) if apart else None
            nargs = 0 if action is None else action.nargs
            room = {None: 1, "?": 1, "+": math.inf, "*": math.inf}.get(nargs, nargs)
        else:
            apart, room = room > 0, room - 1
        (theirs if apart else ours).append(word)
    snakemakes.error = parser.error  # type: ignore[method-assign]
    try:
        snakemakes.parse_args(theirs)
    except CliException as error:
        parser.error(str(error))
    return ours, theirs


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _one_line(error: Exception, config: str | Path | None) -> str:
    """An error's words, with the configuration file's name where it is about an option."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if config is None else re.sub("^config(?=: )", lambda _: str(config), text)
