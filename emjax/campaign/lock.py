"""One campaign is run by one Snakemake at a time.

The kernel frees the lock of a killed one. Where the file system has no locks, a file beside it
names machine and process.
"""

import atexit
import errno
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import TextIO

from emjax.campaign.environment import clock_doubt

_HELD: list[TextIO] = []


def lock_campaign(campaign: str) -> None:
    """Lock a campaign of the current folder until this process ends.

    Raises:
        ValueError: where another process runs it, or may.
    """
    path = lock_file(campaign)
    path.parent.mkdir(exist_ok=True)
    stream = open(path, "a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        if error.errno == errno.EWOULDBLOCK:
            raise ValueError(
                f"campaign {campaign} is being run by another Snakemake; wait until it ends"
            ) from None
        holder = path.with_suffix(".holder")
        _hold(holder, campaign)
        _say(
            f"campaign {campaign}: the file system has no locks ({os.strerror(error.errno or 0)});"
            f" {holder} says that it runs"
        )
    else:
        # Kept open, and so locked, until this process ends.
        _HELD.append(stream)
    os.utime(path)
    if doubt := clock_doubt(path):
        _say(f"warning: {doubt}")


def _hold(holder: Path, campaign: str) -> None:
    """Leave a file that names this machine and process; that of a process that is gone goes."""
    own = f"{socket.gethostname()} {os.getpid()}"
    for _ in range(2):
        try:
            descriptor = os.open(holder, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            host, _, number = holder.read_text(encoding="utf-8").strip().partition(" ")
            if host == socket.gethostname() and number.isdigit() and not _runs(int(number)):
                holder.unlink(missing_ok=True)
                continue
            raise ValueError(
                f"campaign {campaign} is being run by process {number or '?'} on {host or '?'},"
                f" says {holder}; wait until it ends, or remove this file where it does not run"
            ) from None
        os.write(descriptor, own.encode())
        os.close(descriptor)
        atexit.register(_release, holder, own)
        return


def _release(holder: Path, own: str) -> None:
    # A process that was forked is not the one that holds it.
    if own.endswith(f" {os.getpid()}"):
        holder.unlink(missing_ok=True)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def started(campaign: str) -> float:
    """When the campaign was last locked, by the file system's clock; 0 where it never was."""
    path = lock_file(campaign)
    return path.stat().st_mtime if path.exists() else 0.0


def lock_times() -> dict[str, int]:
    """When each campaign of the current folder was last locked, by the file system's clock."""
    locks = Path(".snakemake").glob("campaign-*.lock")
    return {path.name: path.stat().st_mtime_ns for path in locks}


def lock_file(campaign: str) -> Path:
    """Beside Snakemake's own records."""
    return Path(".snakemake") / f"campaign-{campaign}.lock"
