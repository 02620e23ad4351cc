"""Big boxes on processors: time per particle and memory of what works at full box.

Usage: python benchmarks/large.py [--check] [--boxes D ...] [--particles N] [--memory-box D]
For each box: reading and transforming the stack, prepare and mean map, each of two classes
reconstructed (a process each, as in a campaign) beside `relion_reconstruct` of the same particles,
and export. CPU seconds, user and system of all threads, start of the process included but for the
first two rows; memory is the most that the process held. The memory box is one class of few
particles alone. --check: exit 1 where a bar is missed. large_campaign.py runs a whole campaign.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import Used, spend

BOXES, MEMORY_BOX = (128, 256, 384), 400
RELION_BOX = 256  # larger ones take RELION more memory than small machines have
EXTENT = 384.0  # Å, of every box
FINEST = 9.0  # Å, what the blobs of the body hold
CLASSES = 2
RESOLUTION = 12.0  # Å, of prepare


def one(part: str, folder: Path, *values: str) -> Used:
    """A part of this file in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", part, *values]
    found = spend(command, folder)
    print(f"{folder.name} {part} {' '.join(values)}: {found}", flush=True)
    return found


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write(box_size: str, n: str, n_states: str = str(CLASSES)) -> dict:
    """The set, with a particle file and the truth of each class."""
    import large_data

    from emjax.io.mrc.volume import write_volume
    from emjax.io.particles.particle_set import read_particles, write_particles

    here, size = Path.cwd(), int(box_size)
    body = large_data.make_body(int(n_states), size, EXTENT / size)
    states = large_data.write_particles(here, body, int(n))
    particles = read_particles("particles.star")
    ones = np.ones(particles.n)
    columns = {"rlnClassNumber": states + 1, "rlnMaxValueProbDistribution": ones}
    write_particles("labels.star", particles, columns | {"emjaxStability": ones})
    for k in range(int(n_states)):
        write_particles(f"class{k + 1}.star", particles.select(np.flatnonzero(states == k)), {})
        write_volume(f"truth{k + 1}.mrc", body.volume(k), body.pixel_size)
    return {"sizes": np.bincount(states).tolist()}


def read() -> dict:
    """CPU s of reading and of reading and transforming; wall s of cold reading by two orders."""
    from emjax.imaging.grids import half_spectra
    from emjax.imaging.particles import chunks
    from emjax.io.labels.read import read_labels
    from emjax.io.mrc.stack import ImageStacks
    from emjax.io.particles.particle_set import read_particles

    particles = read_particles("particles.star")
    stacks, taken = ImageStacks(particles), []
    for work in (lambda images: images, half_spectra):
        before = _cpu()
        for rows in chunks(particles.n, 50):
            work(stacks.read(rows))
        taken.append(_cpu() - before)
    in_order = np.arange(particles.n)
    by_class = np.argsort(read_labels(Path("labels.star"))[1], kind="stable")
    cold = []
    for order in (in_order, by_class):
        with open("particles.mrcs", "rb") as stack:
            os.fsync(stack.fileno())
            os.posix_fadvise(stack.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        stacks = ImageStacks(particles)
        before = time.perf_counter()
        for rows in chunks(particles.n, 50):
            stacks.read(order[rows])
        cold.append(time.perf_counter() - before)
    return {"read": taken[0], "transform": taken[1], "cold": cold}


def prepare() -> dict:
    """The pass over the stack, and noise, scale and mean map from the cropped images."""
    from emjax.imaging import prepare as imaging
    from emjax.io.particles.particle_set import read_particles
    from emjax.jobs.preparation import aligned_images

    particles = read_particles("particles.star")
    marks = [_cpu()]

    def progress(done: int, total: int) -> None:
        if done == total:
            marks.append(_cpu())

    imaging.prepare(
        aligned_images(particles), imaging.PrepareOptions(RESOLUTION), progress=progress
    )
    return {"crop": marks[1] - marks[0], "mean": _cpu() - marks[1]}


def reconstruct(number: str) -> dict:
    """One class with half-maps and FSC, written as a campaign writes them."""
    from emjax.campaign.folder import ClassMapsFolder
    from emjax.imaging.masks import radii, soft_edge
    from emjax.imaging.reconstruct import reconstruct as solve
    from emjax.io.labels.read import read_labels
    from emjax.io.mrc.stack import ImageStacks
    from emjax.io.particles.particle_set import read_particles
    from emjax.jobs.prepared import ctf_of
    from emjax.jobs.reconstruction import write_reconstruction

    members = np.flatnonzero(read_labels(Path("labels.star"))[1] == int(number) - 1)
    particles = read_particles("particles.star").select(members)
    d, n = particles.box_size, particles.n
    found = solve(
        ImageStacks(particles).read,
        particles.rotations,
        particles.shifts,
        ctf_of(particles),
        np.ones(n),
        np.zeros(n, np.int32),
        particles.half,
        np.full((1, d // 2), float(d**2), np.float32),
        d,
        particles.pixel_size,
        soft_edge(radii(d).astype(np.float32), 0.33 * d, 0.36 * d),
    )
    folder = ClassMapsFolder(Path("maps"))
    write_reconstruction(folder, int(number), found, particles.pixel_size)
    return {}


def export() -> dict:
    """The classes for every program."""
    from emjax.campaign.folder import ClassMapsFolder
    from emjax.io.export.classes import describe_class
    from emjax.io.export.results import export_results
    from emjax.io.files import read_tsv
    from emjax.io.particles.particle_set import read_particles
    from emjax.jobs.export import DEFAULT

    maps, classes = ClassMapsFolder(Path("maps")), []
    for k in range(1, CLASSES + 1):
        halves = maps.class_map(k, "half1"), maps.class_map(k, "half2")
        classes.append(describe_class(maps.class_map(k), halves, read_tsv(maps.class_fsc(k))))
    formats = tuple(name for name in DEFAULT if name != "superclasses")
    particles = read_particles("particles.star")
    written = export_results(Path("export"), Path("labels.star"), classes, particles, formats)
    return {"files": len(written)}


def compare(number: str) -> dict:
    """Mean FSC with the truth of the class's map and of RELION's, up to what the body holds."""
    from emjax.imaging.fsc import volume_fsc
    from emjax.imaging.masks import radii, soft_edge
    from emjax.io.mrc.volume import read_volume

    truth = read_volume(f"truth{number}.mrc")[0]
    d = len(truth)
    mask = soft_edge(radii(d), 0.33 * d, 0.36 * d)
    last = min(int(EXTENT / FINEST), d // 2 - 1)
    found = {}
    for name, path in (("emjax", f"maps/class_{int(number):03d}.mrc"), ("relion", "relion.mrc")):
        if Path(path).exists():
            curve = volume_fsc(read_volume(path)[0] * mask, truth * mask)
            found[name] = float(curve[1 : last + 1].mean())
    return found


PARTS = {f.__name__: f for f in (write, read, prepare, reconstruct, export, compare)}
Row = tuple[str, str, str, bool | None]


def rows_of(folder: Path, box_size: int, n: int) -> list[Row]:
    """All parts at one box."""
    sizes = one("write", folder, str(box_size), str(n)).said["sizes"]
    what, ms = f"{box_size} px", 1000 / n
    stack = one("read", folder).said
    made = one("prepare", folder)
    rows: list[Row] = [
        (
            f"{what}: {n:,} images read; read and transformed",
            f"{ms * stack['read']:.2f}; {ms * stack['transform']:.2f} CPU ms per particle",
            "",
            None,
        ),
        (
            f"{what}: read with no page in memory, in order; class by class (wall time)",
            "{:.2f}; {:.2f} ms per particle".format(*(ms * wall for wall in stack["cold"])),
            "",
            None,
        ),
        (
            f"{what}: prepare at {RESOLUTION:g} Å, the pass over the stack; noise, scale, mean map",
            f"{ms * made.said['crop']:.2f}; {ms * made.said['mean']:.2f} CPU ms per particle; "
            f"{made.gb:.2f} GB",
            "",
            None,
        ),
    ]
    total = 0.0
    for k, size in enumerate(sizes, 1):
        ours = one("reconstruct", folder, str(k))
        total += ours.cpu
        row = (
            f"{ours.cpu:.1f} CPU s, {1000 * ours.cpu / size:.1f} ms per particle; {ours.gb:.2f} GB"
        )
        rows.append((f"{what}: class {k}, {size:,} particles, with half-maps", row, "", None))
        if not shutil.which("relion_reconstruct") or k > 1 or box_size > RELION_BOX:
            continue
        options = ["--o", "relion.mrc", "--ctf", "--angpix", f"{EXTENT / box_size:g}"]
        theirs = spend(["relion_reconstruct", "--i", f"class{k}.star", *options], folder)
        print(f"{folder.name} relion_reconstruct: {theirs}", flush=True)
        fsc = one("compare", folder, str(k)).said
        rows.append((
            f"{what}: relion_reconstruct of class {k}, one map without half-maps",
            f"{theirs.cpu:.1f} CPU s; {theirs.gb:.2f} GB; {theirs.cpu / ours.cpu:.1f} times ours",
            "≥ 5",
            theirs.cpu >= 5 * ours.cpu,
        ))  # fmt: skip
        rows.append((
            f"{what}: mean FSC to the truth up to {FINEST:g} Å, ours; RELION's",
            f"{fsc['emjax']:.4f}; {fsc['relion']:.4f}",
            "≥ 0.99 of it",
            fsc["emjax"] >= 0.99 * fsc["relion"],
        ))  # fmt: skip
    times = total / stack["transform"]
    rows.append((
        f"{what}: {CLASSES} classes over one pass of reading and transforming",
        f"{times:.1f} times",
        "≤ 1.3",
        times <= 1.3,
    ))  # fmt: skip
    given = one("export", folder)
    rows.append((f"{what}: export", f"{given.cpu:.1f} CPU s; {given.gb:.2f} GB", "", None))
    return rows


def memory_row(folder: Path, box_size: int) -> Row:
    """One class of few particles."""
    one("write", folder, str(box_size), "100")
    found = one("reconstruct", folder, "1")
    what = f"{box_size} px: a class of 50 particles"
    return what, f"{found.gb:.2f} GB; {found.cpu:.1f} CPU s", "≤ 6 GB", found.gb <= 6


def main() -> int:
    """Run the parts, print the table."""
    parser = argparse.ArgumentParser(description="Big boxes on processors")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--boxes", nargs="*", type=int, default=BOXES)
    parser.add_argument("--particles", type=int, default=2000)
    parser.add_argument("--memory-box", type=int, default=MEMORY_BOX)
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        part, *values = arguments.one
        print(json.dumps(PARTS[part](*values)))
        return 0
    rows: list[Row] = []
    before = time.perf_counter()
    for box_size in arguments.boxes:
        with tempfile.TemporaryDirectory(prefix=f"large-{box_size}-") as folder:
            rows += rows_of(Path(folder), box_size, arguments.particles)
    if arguments.memory_box:
        with tempfile.TemporaryDirectory(prefix="large-memory-") as folder:
            rows.append(memory_row(Path(folder), arguments.memory_box))
    print(f"\n{time.perf_counter() - before:.0f} s\n\n| what | found | bar | |")
    print("| --- | --- | --- | --- |")
    for what, found, bar, holds in rows:
        verdict = "" if holds is None else "ok" if holds else "MISSED"
        print(f"| {what} | {found} | {bar} | {verdict} |")
    return int(arguments.check and any(holds is False for *_, holds in rows))


if __name__ == "__main__":
    sys.exit(main())
