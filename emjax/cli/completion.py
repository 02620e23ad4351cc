"""Completion of commands, options and files in a shell."""

import argparse

from emjax.cli.command import Commands, add_command

SHELLS = ("bash", "zsh", "fish")
_HOW = """\
bash: emjax completion bash > ~/.local/share/bash-completion/completions/emjax;
zsh: emjax completion zsh > FOLDER/_emjax, with FOLDER in $fpath;
fish: emjax completion fish > ~/.config/fish/completions/emjax.fish"""


def add_commands(commands: Commands, whole: argparse.ArgumentParser) -> None:
    """Add the command to the whole parser, which it completes."""
    parser = add_command(commands, completion, "Print what completes the command in a shell.")
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(whole=whole)
    parser.epilog = _HOW


def completion(options: argparse.Namespace) -> None:
    """For the shell asked for."""
    import shtab

    _complete_files(options.whole, shtab.FILE)
    print(shtab.complete(options.whole, options.shell))


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Every argument that is not one of a few words or a number is a file."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner, files)
        elif action.choices is None and action.type not in (int, float) and action.nargs != 0:
            action.complete = files  # type: ignore[attr-defined]
