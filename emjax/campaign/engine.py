"""Snakemake with emjax's workflow, as a program of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from emjax.campaign.environment import check_home
from emjax.campaign.lock import lock_times
from emjax.campaign.quiet import VERBOSE
from emjax.campaign.shipped import shipped
from emjax.errors import InputError

_REASON = re.compile(r"\w*(Error|Exception)\b")


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
        profile: name of a shipped profile (`gpu`, `slurm`, `slurm-gpu`), or a folder.
        verbose: whether Snakemake speaks too.

    Raises:
        InputError: where there is no such profile.
    """
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config)]
    if not any(word.split("=")[0] == "--workflow-profile" for word in arguments):
        # Its options one by one: Snakemake names a profile before it can be asked to be quiet.
        command += ["--workflow-profile", "none", *_options(shipped("profiles/default"))]
    if profile is not None:
        command += ["--profile", str(_profile(profile))]
    # The workflow hushes Snakemake once it is read; this, what comes before. A profile may send
    # jobs to a cluster, where Snakemake's lines are all there is to see.
    command += [] if verbose or profile is not None else ["--quiet", "all"]
    # Last, since it takes one word: others would take a target that follows for their own.
    return [*command, "--snakefile", str(shipped("Snakefile")), *arguments]


def run_snakemake(command: Sequence[str], *, verbose: bool = False) -> int:
    """Run it to its end; its exit status, 128 + n where signal n ended it.

    Ctrl-C reaches Snakemake by itself, SIGTERM is handed on; it stops its jobs, and is waited for.
    """
    process, stopped, before_start = None, False, lock_times()

    def hand_on(number: int, _: object) -> None:
        nonlocal stopped
        stopped = True
        # The keyboard's signal reaches everyone; raising here could lose the exit status.
        if process is not None and number == signal.SIGTERM:
            process.terminate()

    check_home()
    before = {n: signal.signal(n, hand_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(command, env={**os.environ, VERBOSE: "1"} if verbose else None)
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    silent = "all" in command and not {"--dry-run", "--dryrun", "-n"} & set(command)
    if code > 0 and silent and not stopped and lock_times() == before_start:
        if reason := _unsaid(command):
            print(f"error: {reason}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def _unsaid(command: Sequence[str]) -> str:
    """Why Snakemake plans nothing, in one line: under `quiet: all` only a dry run says so."""
    done = subprocess.run([*command, "--dry-run"], capture_output=True, text=True)
    lines = done.stderr.splitlines() + done.stdout.splitlines()
    # What begins with error: was said the first time, by the workflow or by Snakemake's parser.
    if done.returncode == 0 or any(re.search("(^| )error: ", line, re.I) for line in lines):
        return ""
    heads = [n for n, line in enumerate(lines) if _REASON.match(line)]
    return " ".join(" ".join(lines[heads[-1] :]).split()) if heads else " ".join(lines[-1:])


def _options(profile: Path) -> Iterator[str]:
    """A profile as words of a command line."""
    options = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8"))
    for name, value in options.items():
        yield f"--{name}"
        if value is not True:
            yield from map(str, value if isinstance(value, list) else [value])


def _profile(name: str) -> Path:
    """A folder as given, else the shipped profile of this name."""
    known = sorted(path.name for path in shipped("profiles").iterdir() if path.is_dir())
    folder = shipped("profiles") / name if name in known else Path(name)
    if not folder.exists():
        raise InputError(None, "--profile", name, f"one of {', '.join(known)}, or a folder")
    return folder.absolute()
