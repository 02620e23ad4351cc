"""Kills at random moments change nothing: labels and maps end as the same bits.

A campaign runs once without a break. Then it runs again in a second folder while a random one of
its processes (a job or Snakemake itself) is killed with SIGKILL, again and again; each time the
same command is given anew. At the end labels, posteriors and maps are compared bit by bit.

Usage: python -m benchmarks.kill [--kills 30] [--check]
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from emjax.io.mrc.volume import read_volume
from tests.campaigns import Place, long_config


def run(place: Place, command: list[str], wait: float | None, rng: random.Random) -> str:
    """Run the campaign; after `wait` seconds kill one of its processes. What was killed, or ''."""
    with (place.folder / "out.txt").open("a") as out:
        process = psutil.Popen(command, cwd=place.folder, stdout=out, stderr=out)
    try:
        process.wait(wait)
        return ""
    except psutil.TimeoutExpired:
        pass
    family = [process, *process.children(recursive=True)]
    victim = rng.choice(family)
    name = "Snakemake" if victim == process else "a job"
    victim.kill()
    process.wait()
    # What a killed Snakemake leaves behind may still run; a new one must stand that.
    return name


def different_files(one: Path, other: Path) -> list[str]:
    """Arrays and maps that are not the same bits, or missing."""
    found = []
    for path in sorted([*one.rglob("*.npy"), *one.rglob("*.mrc")]):
        name = path.relative_to(one)
        twin = other / name
        if not twin.exists():
            found.append(str(name))
            continue
        read = np.load if path.suffix == ".npy" else lambda p: read_volume(p)[0]
        if not np.array_equal(read(path), read(twin)):
            found.append(str(name))
    return found


def main() -> int:
    """Print a line per kill and the comparison; 1 where --check is asked for and bits differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="emjax-kill-"))
    whole, killed = Place(folder / "whole"), Place(folder / "killed")
    for place in (whole, killed):
        place.folder.mkdir()
    simulate = [sys.executable, "-m", "emjax.simulate.demo", str(whole.folder / "data"), "300"]
    subprocess.run(simulate, check=True)
    shutil.copytree(whole.folder / "data", killed.folder / "data")
    start = time.monotonic()
    run(whole, whole.command(long_config(2)), None, rng)
    seconds = time.monotonic() - start
    print(f"without a break: {seconds:.0f} s")
    command = killed.command(long_config(2))
    kills = 0
    while kills < options.kills:
        wait = rng.uniform(1, seconds)
        if victim := run(killed, command, wait, rng):
            kills += 1
            print(f"kill {kills}: {victim} after {wait:.1f} s", flush=True)
        else:
            # Finished before its time: start over, so that every kill meets a running campaign.
            shutil.rmtree(killed.folder / "results")
            print("finished; the campaign runs once more", flush=True)
    run(killed, command, None, rng)
    results = [place.folder / "results" / "tiny" for place in (whole, killed)]
    wrong = different_files(*results)
    print(f"{kills} kills; {len(wrong)} files differ", *wrong, sep="\n  ")
    if not wrong:
        shutil.rmtree(folder)
    return int(bool(wrong) and options.check)


if __name__ == "__main__":
    sys.exit(main())
