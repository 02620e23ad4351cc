"""One campaign is run by one Snakemake at a time; the kernel frees the lock of a killed one."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

_HELD: list[TextIO] = []


def lock_campaign(campaign: str) -> None:
    """Lock a campaign of the current folder until this process ends.

    Raises:
        ValueError: where another process runs it.
    """
    path = lock_file(campaign)
    path.parent.mkdir(exist_ok=True)
    stream = open(path, "a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise ValueError(
            f"campaign {campaign} is being run by another Snakemake; wait until it ends"
        ) from None
    # Kept open, and so locked, until this process ends.
    _HELD.append(stream)
    os.utime(path)


def started(campaign: str) -> float:
    """When the campaign was last locked, in seconds since the epoch; 0 where it never was."""
    path = lock_file(campaign)
    return path.stat().st_mtime if path.exists() else 0.0


def any_started(since: float) -> bool:
    """Whether a campaign of the current folder was locked after this time."""
    locks = Path(".snakemake").glob("campaign-*.lock")
    return any(path.stat().st_mtime >= since for path in locks)


def lock_file(campaign: str) -> Path:
    """Beside Snakemake's own records."""
    return Path(".snakemake") / f"campaign-{campaign}.lock"
