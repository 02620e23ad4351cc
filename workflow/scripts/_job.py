"""What every job does around its work: log file, progress on the terminal, errors in one line."""

import hashlib
import logging
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emjax.errors import InputError, OptionError

logging.getLogger("jax").setLevel(logging.ERROR)


def _keep_compiled_code() -> None:
    """Let jobs share compiled code; each kind of processor has a folder of its own."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = "".join(line for line in lines if line.startswith(("flags", "model name")))
    folder = Path(".snakemake/compiled") / hashlib.sha256(processor.encode()).hexdigest()[:12]
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder.absolute()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


if Path("/proc/cpuinfo").exists():
    _keep_compiled_code()


class Job:
    """Says what happens, on the terminal and in the log."""

    def __init__(self, name: str, log: Path) -> None:
        """Opens nothing; the log is appended to, so that a restart keeps what came before.

        What stands in `rescues` is called when the job is stopped or fails, to save what it has.
        """
        self.name = name
        self.rescues: list[Callable[[], None]] = []
        self._log = log
        self._told = 0.0

    def say(self, text: str) -> None:
        """One line for the terminal and the log."""
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)
        self.note(text)

    def note(self, text: str) -> None:
        """Text for the log only."""
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def progress(self, done: int, total: int) -> None:
        """Particles done; told every few seconds and at the end."""
        if done == total or time.monotonic() - self._told > 5:
            self._told = time.monotonic()
            self.say(f"{done} of {total} particles")


@contextmanager
def job(snakemake: Any) -> Iterator[Job]:
    """Run a job's work: an error becomes one line and exit status 1, its traceback goes to the log.

    Args:
        snakemake: the object Snakemake puts into a script.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    work = Job(snakemake.rule, log)
    # A cluster announces preemption and time-out with SIGTERM; finally blocks still run.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    shown = warnings.showwarning
    finished = False
    warnings.showwarning = lambda message, *_, **__: work.say(f"warning: {message}")
    try:
        yield work
        finished = True
    except KeyboardInterrupt:
        work.say("interrupted; run the same command again, and it goes on")
        sys.exit(130)
    except Exception as error:
        work.note(traceback.format_exc())
        told = _one_line(error, snakemake)
        work.note(f"error: {told}")
        print(f"error: {told} (log: {log})", file=sys.stderr, flush=True)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for rescue in [] if finished else work.rescues:
            with suppress(Exception):
                rescue()
        warnings.showwarning = shown
        signal.signal(signal.SIGTERM, before)
    work.note(f"done after {time.monotonic() - start:.1f} s")


def not_there(path: str | Path) -> str:
    """What to say of a file that is missing; relative paths start in the current folder."""
    return f"{path}, which is not there (from {Path.cwd()})"


def _one_line(error: BaseException, snakemake: Any) -> str:
    source = os.environ.get("EMJAX_CONFIG", "config")
    if isinstance(error, OptionError):
        error = error.at(source, _section(error.option, snakemake))
    text = " ".join(str(error).split())
    if text.startswith("config: "):
        text = source + text.removeprefix("config")
    elif not isinstance(error, InputError) and re.match(r"[a-z_.]+: found ", text):
        # The numerics know an option, but not where it stands.
        text = f"{source}: {text}"
    # Wrong input says where and what; anything else also says what kind of error it is.
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def _section(option: str, snakemake: Any) -> str:
    """Where in the configuration an option stands: at the top, or with its method's."""
    config, name = getattr(snakemake, "config", {}), option.split(".")[0]
    methods = config.get("runs") or {}
    known = [m for m, options in methods.items() if isinstance(options, dict) and name in options]
    own = [m for m in known if m in snakemake.rule] or known
    return f"runs.{own[0]}" if name not in config and len(own) == 1 else ""
