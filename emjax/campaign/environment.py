"""What the environment of a process spoils, said in one line with the remedy."""

import importlib.util
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from emjax.errors import InputError

SKEW = 5.0  # seconds between two clocks that Snakemake notices
NEEDED = ("numpy", "scipy", "pandas", "jax", "jaxlib", "equinox", "yaml", "snakemake")


def check_jax_flags() -> None:
    """Refuse flags that end the process without a word once JAX computes.

    Raises:
        InputError: for flags of XLA_FLAGS that XLA does not know.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if not flags.strip():
        return
    program = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return
    said = re.search(r"Unknown flags? in XLA_FLAGS: *(.*)", done.stderr)
    found = f"unknown {said[1].strip()}" if said else flags
    expected = "flags of this version of XLA; correct it, or unset XLA_FLAGS"
    raise InputError(None, "environment, XLA_FLAGS", found, expected)


def hear_jax(tell: Callable[[str], None]) -> None:
    """Take JAX's traceback of a GPU that it cannot use for one line, and leave its warnings out.

    A node without a GPU prints it where JAX is the build for GPUs, and computes on the processor.

    Args:
        tell: gets the line.
    """

    def in_one_line(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            tell(f"JAX uses no GPU on {os.uname().nodename}: {' '.join(str(error).split())[:200]}")
        return error is None

    logging.getLogger("jax").setLevel(logging.ERROR)
    bridge = logging.getLogger("jax._src.xla_bridge")
    bridge.filters[:] = [in_one_line]


def no_device() -> str | None:
    """What to say where JAX does not have the platform of JAX_PLATFORMS; else None.

    Asked once something failed: JAX's own errors say little, some nothing at all.
    """
    wanted, jax = os.environ.get("JAX_PLATFORMS", ""), sys.modules.get("jax")
    if not wanted or jax is None:
        return None
    try:
        jax.devices()
    except Exception as error:  # RuntimeError, or AssertionError where a plugin is not installed
        why = " ".join(str(error).split())[:200] or f"JAX knows no device of {wanted}"
        return (
            f"environment, JAX_PLATFORMS: found {wanted}, which {os.uname().nodename} does not have"
            f" ({why}), expected a platform that is there; unset it to compute on the processor, or"
            " install jax[cuda12] and ask for a GPU (gpus_per_job)"
        )
    return None


def clock_doubt(path: Path) -> str | None:
    """What to say where a file that was just written has the time of another clock."""
    ahead = path.stat().st_mtime - time.time()
    if abs(ahead) <= SKEW:
        return None
    folder = path.absolute().parent
    return (
        f"the clock of {os.uname().nodename} and that of the file system of {folder}"
        f" are {abs(ahead):.0f} s apart; Snakemake compares times of files, and may run jobs again:"
        " set the clocks alike (chronyd or ntpd on every machine)"
    )


def future_files(paths: Iterable[str | Path]) -> list[str]:
    """What to say of input with a time to come: results always look older than it."""
    now, found = time.time(), []
    for path in map(Path, paths):
        ahead = path.stat().st_mtime - now if path.exists() else 0.0
        if ahead > SKEW:
            found.append(
                f"{path}: its time lies {ahead:.0f} s ahead of this machine's clock, so that all"
                f" jobs run again each time; set the clocks alike, then: touch {path}"
            )
    return found


def check_home() -> None:
    """Give Snakemake a folder for its own files where there is no home to write to."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    there = next(path for path in (home, *home.parents) if path.exists())
    if os.access(there, os.W_OK) and there.is_dir() and _writable(there):
        return
    instead = Path(".snakemake").absolute() / "cache"
    instead.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(instead)
    print(
        f"warning: environment, HOME: found {home}, which cannot be written to, expected a folder"
        f" for caches; {instead} is used (set HOME or XDG_CACHE_HOME)",
        file=sys.stderr,
    )


def _writable(folder: Path) -> bool:
    """Whether a file can be made; permissions alone do not say it of file systems."""
    probe = folder / f".emjax-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def check_packages() -> None:
    """Refuse packages of another Python environment, which PYTHONPATH puts before emjax's own.

    Raises:
        InputError: for the first of them.
    """
    given = [Path(part).resolve() for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    for name in NEEDED if given else ():
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        foreign = [folder for folder in given if origin and origin.is_relative_to(folder)]
        if origin and foreign and not origin.is_relative_to(Path(sys.prefix).resolve()):
            found = f"{foreign[0]}, whose {name} is not that of emjax's environment"
            raise InputError(None, "environment, PYTHONPATH", found, "none; unset PYTHONPATH")
