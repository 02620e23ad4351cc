"""What the machine that a program runs on has to offer, and which program it is."""

import json
import mmap
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np


def cores() -> int:
    """Processor cores that this process may use; a cluster's job often has few of many."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def machine() -> dict[str, str | int | float]:
    """System, processor, cores that may be used, and memory in GB; no name of the machine."""
    found: dict[str, str | int | float] = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": cores(),
    }
    if "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory_gb"] = round(memory / 1e9, 1)
    return found


def _processor() -> str:
    """The model, where the system names it."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def give_back(array: np.ndarray) -> None:
    """Let go of what was read of a mapped file: it counts as memory of the process until then."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def commit() -> str:
    """Commit of emjax, of a checkout or of an installation from one; empty for a release."""
    try:
        origin = json.loads(distribution("emjax").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {}
    if found := origin.get("vcs_info", {}).get("commit_id"):
        return str(found)
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        head, changed = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head} with changes" if changed else head
