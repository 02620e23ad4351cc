"""A first look at a GPU: are the numbers right, how fast is it, are the bits the same twice?

Usage: python benchmarks/gpu.py [--only STEP ...] [--budget SECONDS] [--tiny]
Prints one line of JSON a step (each in a process of its own, `gpu_steps.py`):
  info     device, memory, copy bandwidth, matrix products in JAX's own and the highest precision
  check    the Pallas kernels beside the compiled CPU engine, with the tolerance
  times    kernels alone, and whole passes over 10⁵ and 10⁶ particles of 64 pixels at 12.4 Å for
           10 seeds × K = 4; a few real blocks stand for all
  seeds    1000 seeds × K = 4 in a subspace
  basis    operators of 4,800 particles made, and an iteration of the basis fit
  bits     which computations give the same bits twice, and how long they take
  deterministic  the same with --xla_gpu_deterministic_ops=true
  two      two jobs at once on one GPU, as jobs set JAX up
  campaign `emjax demo` with 3000 particles
A step that does not fit into the budget (535 s) is said to be left out; one that is stopped shows
what it had found. --tiny: sizes that a processor with interpreted kernels manages, to rehearse.
Exit status 1 where there is no GPU (without --tiny), a step failed, or the check does not hold.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = Path(__file__).with_name("gpu_steps.py")
# Seconds that each may take; less than a third of them left in the budget is too little to start.
LIMITS = {
    "info": 45, "check": 75, "times": 170, "seeds": 60, "basis": 45, "bits": 30,
    "deterministic": 60, "two": 40, "campaign": 300,
}  # fmt: skip
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
DEMO_PARTICLES, TINY_PARTICLES = 3000, 300


def start(step: str, tiny: bool, folder: Path, flags: str = "") -> subprocess.Popen[str]:
    """A process that measures; what it finds comes as lines of JSON, the rest goes to stderr."""
    command = [sys.executable, str(STEPS), step, *(["--tiny"] if tiny else [])]
    own = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()} if flags else {}
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | own, stdout=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str], limit: float) -> dict:
    """What a process found: the lines before it was stopped or failed, too."""
    ended = {}
    try:
        out, _ = process.communicate(timeout=limit)
        if process.returncode:
            ended = {"failed": f"exit status {process.returncode}; the traceback is above"}
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        ended = {"stopped": f"after {limit:.0f} s, all that it may take"}
    found: dict = {}
    for line in out.splitlines():
        if line.startswith("{"):
            found |= json.loads(line)
    return found | ended


def campaign(limit: float, tiny: bool, folder: Path) -> dict:
    """The demo in a folder of its own: how it ended, and its jobs that took longest."""
    particles = TINY_PARTICLES if tiny else DEMO_PARTICLES
    log = folder / "campaign.log"
    command = [sys.executable, "-m", "emjax", "demo", str(folder), "--particles", str(particles)]
    # As the profile gpu does: jobs that compute take turns.
    command += ["--", "--config", "gpus_per_job=1", "--resources", "gpu=1"]
    with log.open("w") as stream:
        # A group of its own, so that its jobs end with it.
        process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        try:
            ended = {"exit": process.wait(limit)}
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            ended = {"stopped": f"after {limit:.0f} s, all that it may take"}
    lines = log.read_text().splitlines()
    jobs = {}
    for path in folder.glob("logs/*/benchmarks/*.tsv"):
        jobs[path.stem] = float(path.read_text().splitlines()[1].split("\t")[0])
    longest = sorted(jobs, key=lambda name: -jobs[name])[:6]
    engines = {line.split("engine: ")[1] for line in lines if "engine: " in line}
    failed = {"failed": lines[-1]} if ended.get("exit") else {}
    return ended | failed | {
        "particles": particles, "engines": sorted(engines), "last_lines": lines[-3:],
        "longest_jobs_s": {name: jobs[name] for name in longest},
    }  # fmt: skip


def measure(step: str, limit: float, tiny: bool, folder: Path) -> dict:
    """One step of at most so many seconds."""
    if step == "campaign":
        return campaign(limit, tiny, folder)
    if step == "two":
        end = time.monotonic() + limit
        jobs = [start("two", tiny, folder) for _ in range(2)]
        found = [finish(process, max(1.0, end - time.monotonic())) for process in jobs]
        bad = [key for one in found for key in ("failed", "stopped") if key in one]
        return {"jobs": found} | {key: "one of the two" for key in bad}
    if step == "deterministic":
        return finish(start("bits", tiny, folder, DETERMINISTIC), limit)
    return finish(start(step, tiny, folder), limit)


def has_gpu() -> bool:
    """Whether JAX computes on one; asked elsewhere, so that this process holds none of it."""
    program = "import jax; print(jax.default_backend())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() == "gpu"


def main() -> int:
    """Run the steps one after another within the budget."""
    parser = argparse.ArgumentParser(description="emjax on a GPU")
    parser.add_argument("--only", nargs="*", choices=LIMITS, default=list(LIMITS), metavar="STEP")
    parser.add_argument("--budget", type=float, default=535.0, metavar="SECONDS")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    begin, good = time.monotonic(), True
    if not arguments.tiny and not has_gpu():
        print(
            f"error: JAX sees no GPU on {os.uname().nodename}, expected one and"
            " jax[cuda12] or jax[cuda13]; --tiny rehearses on the processor",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for step in arguments.only:
            left = arguments.budget - (time.monotonic() - begin)
            if left < (least := LIMITS[step] / 3):
                found = {"left_out": f"{left:.0f} s of the budget left, expected {least:.0f}"}
            else:
                start_of = time.monotonic()
                # A rehearsal is as slow as the processor is busy.
                limit = left if arguments.tiny else min(left, LIMITS[step])
                found = measure(step, limit, arguments.tiny, Path(folder))
                found["seconds"] = round(time.monotonic() - start_of, 1)
                good &= not {"failed", "stopped"} & set(found) and found.get("holds", True)
            print(json.dumps({"step": step} | found, ensure_ascii=False), flush=True)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
