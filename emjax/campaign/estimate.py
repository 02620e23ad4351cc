"""What a campaign will cost: memory, disk and time of its long jobs, before any of them runs."""

from collections.abc import Iterator
from typing import Any

from emjax.campaign.costs import Facts, memory_mb, minutes
from emjax.campaign.input import filter_resolution, input_particles
from emjax.campaign.job import duration
from emjax.campaign.methods import long_jobs
from emjax.imaging.crop import filter_radius

CLASSES = 4  # to reconstruct, as far as one can know
# Maps at full box that an export adds; the others are linked.
ADDED = {
    "chimerax": CLASSES + 1,  # differences and the mean
    "maps": 3,
    "superclasses": CLASSES // 2,  # of two classes each
    "zip": CLASSES,
}
CORES = 2
# Seconds to start a job: Snakemake, Python, compiled code; measured on the demo's and the
# spliceosome's campaigns (benchmarks/RESULTS.md).
STARTING = 3.2
SHORT_JOBS = 7  # check, list, audit, export, rebalance, record, report


def estimate(config: dict[str, Any]) -> Iterator[str]:
    """A line for the campaign and one for each of its long jobs.

    Args:
        config: with every default filled in.

    Raises:
        ValueError: where the particles cannot be read, or not filtered at this resolution.
    """
    particles = input_particles(config)
    box, pixel = particles.box_size, particles.pixel_size
    radius = filter_radius(box, pixel, filter_resolution(config, particles))
    facts = Facts(particles.n, box, radius)
    disk = facts.images_mb / (2 if config["image_precision"] == "float16" else 1)
    yield (
        f"Campaign {config['campaign']}: {facts.n} particles of {box} px,"
        f" {facts.radius} Fourier shells, prepared images of {disk:.0f} MB on disk"
    )
    maps = full_box_maps(config) * 4e-6 * box**3
    yield (
        f"Maps of {CLASSES} classes at full box: {maps:.0f} MB on disk, those of export/ included"
    )
    yield f"{'job':24}{'memory':>10}{'per pass':>12}{'in all':>12}{'asked for':>12}"
    total = 0.0
    for name, cost in long_jobs(facts, config):
        total += cost.seconds
        yield (
            f"{name:24}{memory_mb(cost, 1) / 1000:7.1f} GB"
            f"{cost.seconds_an_iteration / CORES:10.1f} s{duration(cost.seconds / CORES):>12}"
            f"{minutes(cost, 1):8} min"
        )
    jobs = len(list(long_jobs(facts, config))) + SHORT_JOBS + CLASSES - 1
    start = f"starting {jobs} jobs"
    yield f"{start:46}{duration(STARTING * jobs):>12}"
    yield f"{'one after the other':46}{duration(total / CORES + STARTING * jobs):>12}"
    yield (
        f"Times are those of {CORES} cores; starting includes compiling, which the first job of a"
        " kind does. A cluster is asked for the memory and the last time."
    )


def full_box_maps(config: dict[str, Any]) -> int:
    """Maps at full box that a campaign writes: of each class, its half-sets, and the exports'."""
    return 3 * CLASSES + sum(ADDED.get(name, 0) for name in config["export"])
