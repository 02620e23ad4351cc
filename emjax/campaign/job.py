"""What every job does around its work: log file, progress on the terminal, errors in one line."""

import hashlib
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emjax.campaign.environment import clock_doubt, hear_jax, no_device
from emjax.campaign.folder import CampaignFolder
from emjax.campaign.settings import particle_suffixes
from emjax.errors import OptionError

EVERY = 5.0  # seconds between lines of progress
SILENCE = 10.0  # seconds after which a job says that it is running


def set_up_jax() -> None:
    """What every job wants of JAX, unless the environment says otherwise.

    Matrix products keep single precision, where a GPU would round their factors to ten bits; its
    memory is taken as needed, not three quarters of it at once; compiled code is shared by jobs on
    one kind of processor.
    """
    # Read with the first device; the others when JAX is imported, as most scripts have done by now.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    wanted: dict[str, str | float] = {"jax_default_matmul_precision": "highest"}
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = about.read_text().splitlines()
        processor = "".join(line for line in lines if line.startswith(("flags", "model name")))
        kind = hashlib.sha256(processor.encode()).hexdigest()[:12]
        wanted["jax_compilation_cache_dir"] = str(Path(".snakemake/compiled", kind).absolute())
        wanted["jax_persistent_cache_min_compile_time_secs"] = 0.1
    jax = sys.modules.get("jax")
    for name, value in wanted.items():
        if name.upper() not in os.environ:
            os.environ[name.upper()] = str(value)
            if jax is not None:
                jax.config.update(name, value)


class Clock:
    """Time that is left, from the pace since the first step: that one compiles."""

    def __init__(self) -> None:
        """Nothing is done yet."""
        self._first: tuple[float, int] | None = None

    def left(self, done: int, total: int) -> float | None:
        """Seconds to the end; None before the second step."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
            return None
        start, before = self._first
        return (now - start) / (done - before) * (total - done) if done > before else None


class Job:
    """A job of a campaign: its folder, and what it says on the terminal and in the log."""

    def __init__(self, name: str, log: Path, config: dict[str, Any]) -> None:
        """Opens nothing; the log is appended to, so that a restart keeps what came before.

        What stands in `rescues` is called when the job is stopped or fails, to save what it has.
        """
        self.name, self.config = name, config
        self.rescues: list[Callable[[], None]] = []
        self.log = log
        self._last, self._ticked, self._clock = time.monotonic(), False, Clock()
        self._spoken = time.monotonic()

    @property
    def folder(self) -> CampaignFolder:
        """The campaign's: its log lies below the same folder, whatever a module puts before it."""
        return CampaignFolder.of(self.log.parent.name, self.log.parents[2])

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the particle files that the campaign writes."""
        return particle_suffixes(self.config["particles"])

    @property
    def checkpoint(self) -> Path:
        """Outside the declared outputs, which Snakemake removes when a job fails."""
        return self.folder.checkpoints / f"{self.name}.npz"

    def say(self, text: str) -> None:
        """One line for the terminal and the log."""
        self._spoken = time.monotonic()
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)
        self.note(text)

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Say on the terminal that the job is running, where nothing was said for a while."""
        start, ended = time.monotonic(), threading.Event()

        def beat() -> None:
            while not ended.wait(1):
                if time.monotonic() - self._spoken > SILENCE:
                    self._spoken = time.monotonic()
                    since = duration(self._spoken - start)
                    print(f"{self.name}: running for {since}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def tick(self, text: str, last: bool = False, every: float = EVERY) -> None:
        """Progress: every line in the log, one every few seconds on the terminal.

        The last one is shown where others were: a short job has its result to say.
        """
        if time.monotonic() - self._last > every or (last and self._ticked):
            self._last, self._ticked = time.monotonic(), True
            self.say(text)
        else:
            self.note(text)

    def note(self, text: str) -> None:
        """Text for the log only."""
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def progress(self, done: int, total: int, of: str = "particles") -> None:
        """How many are done and how long the rest takes; said every few seconds and at the end."""
        left = self._clock.left(done, total)
        rest = f", {duration(left)} left" if left and done < total else ""
        self.tick(f"{done} of {total} {of}{rest}", last=done == total)


@contextmanager
def job(snakemake: Any) -> Iterator[Job]:
    """Run a job's work: an error becomes one line and exit status 1, its traceback goes to the log.

    Args:
        snakemake: the object Snakemake puts into a script.
    """
    set_up_jax()
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    work = Job(snakemake.rule, log, snakemake.config)
    # A cluster announces preemption and time-out with SIGTERM; finally blocks still run.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    shown = warnings.showwarning
    finished = False
    log.touch()
    # Who asked for a GPU wants to know at once.
    asked = work.config.get("gpus_per_job")
    hear_jax((lambda text: work.say(f"warning: {text}")) if asked else work.note)
    if doubt := clock_doubt(log):
        work.say(f"warning: {doubt}")
    warnings.showwarning = lambda message, *_, **__: work.say(f"warning: {message}")
    # Another job may be writing it; then the code is compiled here.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    try:
        with work.heartbeat():
            yield work
        finished = True
    except KeyboardInterrupt:
        work.say("interrupted; run the same command again to resume")
        sys.exit(130)
    except Exception as error:
        work.note(traceback.format_exc())
        line = _one_line(error, work)
        work.note(f"error: {line}")
        print(f"error: {line} (log: {log})", file=sys.stderr, flush=True)
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


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _one_line(error: BaseException, work: Job) -> str:
    source = os.environ.get("EMJAX_CONFIG", "config")
    if isinstance(error, OptionError):
        error = error.at(source, _section(error.option, work))
    if not isinstance(error, ValueError) and (said := no_device()):
        return said
    text = " ".join(str(error).split())
    if text.startswith("config: "):
        text = source + text.removeprefix("config")
    # Wrong input says where and what; anything else also says what kind of error it is.
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def _section(option: str, work: Job) -> str:
    """Where in the configuration an option stands: at the top, or with its method's."""
    name = option.split(".")[0]
    methods = work.config.get("runs") or {}
    known = [m for m, options in methods.items() if isinstance(options, dict) and name in options]
    own = [m for m in known if m in work.name] or known
    return f"runs.{own[0]}" if name not in work.config and len(own) == 1 else ""
