"""The default campaign from end to end on particles of a big box, stage by stage.

Usage: python benchmarks/large_campaign.py [--check] [--particles N] [--box D] [--states K]
What `emjax init` proposes runs on a set written here (20,000 of 256 px take 5 GB in TMPDIR). Time
and memory of each stage are those that Snakemake measured of its jobs, CPU minutes of all include
Snakemake itself. --check: exit 1 where a bar is missed
at full size.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import large
from processes import spend

FULL = 20_000, 256  # particles and px that the bars are for
CPU_MINUTES, MEMORY_GB = 60, 4


def stages(folder: Path) -> list[tuple[str, int, float, float, float]]:
    """Name, jobs, wall and CPU seconds and most memory in GB of each stage, by CPU seconds."""
    found = defaultdict(list)
    for path in folder.glob("logs/*/benchmarks/*.tsv"):
        names, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
        row = dict(zip(names, values, strict=True))
        # Jobs that end at once have no figure ("NA").
        figures = (float(row[name].replace("NA", "0")) for name in ("s", "cpu_time", "max_rss"))
        found[re.sub(r"_(s?\d+|K\d+.*)$", "", path.stem)].append(tuple(figures))
    rows = []
    for stage, jobs in found.items():
        seconds, cpu, memory = zip(*jobs, strict=True)
        rows.append((stage, len(jobs), sum(seconds), sum(cpu), max(memory) / 1000))
    return sorted(rows, key=lambda row: -row[3])


def gigabytes(folder: Path) -> float:
    """What the files of a folder take; a linked map counts once."""
    sizes = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values()) / 1e9


def agreement(folder: Path) -> float:
    """ARI of the consensus classes with the states that the particles were drawn from."""
    from sklearn.metrics import adjusted_rand_score

    from emjax.io.labels.read import read_labels

    (classes,) = folder.glob("results/*/consensus/particles.star")
    names, found = read_labels(classes, "rlnImageName")[:2]
    states = dict(zip(*read_labels(folder / "labels.star", "rlnImageName")[:2], strict=True))
    return float(adjusted_rand_score([states[name] for name in names.tolist()], found))


def run(folder: Path, box_size: int, n: int, states: int) -> bool:
    """Write, estimate and run; print the table; whether the bars hold."""
    large.one("write", folder, str(box_size), str(n), str(states))
    emjax = [sys.executable, "-m", "emjax"]
    subprocess.run([*emjax, "init", "particles.star", "-o", "large.yaml"], cwd=folder, check=True)
    estimated = subprocess.run(
        [*emjax, "estimate", "large.yaml"], cwd=folder, check=True, capture_output=True, text=True
    )
    print(estimated.stdout, flush=True)
    before = time.perf_counter()
    used = spend([*emjax, "run", "large.yaml"], folder)
    wall = time.perf_counter() - before
    table = stages(folder)
    most = max(row[4] for row in table)
    print(f"{n:,} particles of {box_size} px, {states} states\n")
    print("| stage | jobs | wall s | CPU s | most memory, GB |\n| --- | --- | --- | --- | --- |")
    for stage, jobs, seconds, cpu, memory in table:
        print(f"| {stage} | {jobs} | {seconds:.0f} | {cpu:.0f} | {memory:.2f} |")
    print(
        f"| all, Snakemake included; results take {gigabytes(folder / 'results'):.2f} GB | |"
        f" {wall:.0f} | {used.cpu:.0f} | {most:.2f} |\n"
    )
    print(f"ARI of the consensus with the states that were drawn: {agreement(folder):.3f}")
    if n < FULL[0] or box_size < FULL[1]:
        print(f"No bar is judged below {FULL[0]:,} particles of {FULL[1]} px.")
        return True
    holds = used.cpu <= 60 * CPU_MINUTES, most <= MEMORY_GB
    for kept, found, bar in zip(
        holds,
        (f"{used.cpu / 60:.1f} CPU minutes", f"{most:.2f} GB"),
        (CPU_MINUTES, MEMORY_GB),
        strict=True,
    ):
        print(f"{found}, at most {bar}: {'ok' if kept else 'MISSED'}")
    return all(holds)


def main() -> int:
    """Run it in a folder of its own."""
    parser = argparse.ArgumentParser(description="The default campaign on a big box")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--particles", type=int, default=FULL[0])
    parser.add_argument("--box", type=int, default=FULL[1])
    parser.add_argument("--states", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="large-campaign-") as folder:
        holds = run(Path(folder), arguments.box, arguments.particles, arguments.states)
    return int(arguments.check and not holds)


if __name__ == "__main__":
    sys.exit(main())
