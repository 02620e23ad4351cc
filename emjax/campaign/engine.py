"""Snakemake with emjax's workflow, as a program of its own."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from emjax.campaign.shipped import shipped
from emjax.errors import InputError

# What `quiet: all` of the shipped profiles keeps back.
VERBOSE = ("--quiet", "host")


def snakemake_command(
    config: str | Path,
    arguments: Sequence[str] = (),
    *,
    profile: str | None = None,
    verbose: bool = False,
) -> list[str]:
    """The command line that runs a campaign.

    Args:
        config: the campaign's YAML file.
        arguments: Snakemake's own, which win over those of a profile.
        profile: name of a shipped profile (`slurm`, `slurm-gpu`), or a folder.
        verbose: whether Snakemake speaks too.

    Raises:
        InputError: where there is no such profile.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(shipped("Snakefile"))]
    command += ["--configfile", str(config)]
    if profile is not None:
        command += ["--profile", str(_profile(profile))]
    if not any(word.split("=")[0] == "--workflow-profile" for word in arguments):
        command += ["--workflow-profile", str(shipped("profiles/default"))]
    return [*command, *(VERBOSE if verbose else ()), *arguments]


def run_snakemake(command: Sequence[str]) -> int:
    """Run it to its end; its exit status, 128 + n where signal n ended it.

    Ctrl-C reaches Snakemake by itself, SIGTERM is handed on; it stops its jobs, and is waited for.
    """
    process = None

    def hand_on(number: int, _: object) -> None:
        # The keyboard's signal reaches everyone; raising here could lose the exit status.
        if process is not None and number == signal.SIGTERM:
            process.terminate()

    before = {n: signal.signal(n, hand_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(command)
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _profile(name: str) -> Path:
    """A folder as given, else the shipped profile of this name."""
    known = sorted(path.name for path in shipped("profiles").iterdir() if path.is_dir())
    folder = shipped("profiles") / name if name in known else Path(name)
    if not folder.exists():
        raise InputError(None, "--profile", name, f"one of {', '.join(known)}, or a folder")
    return folder.absolute()
