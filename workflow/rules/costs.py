"""What the heavy jobs of a campaign cost, from the number of particles, box and resolution.

The rules ask a cluster for this; `make dry-run` tells it before anything is computed. Seconds are
those of one core (benchmarks/RESULTS.md, Speed and scale); a job is given four times what they come
to on two, so that a slow or shared machine is enough.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from settings import em3d_batches

TILE = 16  # classes that are sliced and inserted together


class Facts(NamedTuple):
    """What decides the cost of a campaign."""

    n: int  # particles
    box_size: int
    radius: int  # the highest frequency kept, in Fourier pixels

    @property
    def pixels(self) -> float:
        """Independent Fourier pixels of an image."""
        return math.pi / 2 * self.radius**2

    @property
    def images_mb(self) -> float:
        """All prepared images in single precision."""
        return self.n * self.pixels * 8e-6


class Cost(NamedTuple):
    """Of one job; time is that of one pass or iteration, and of the whole on one core."""

    memory_mb: float
    seconds_an_iteration: float
    seconds: float


def read_facts(path: str | Path) -> Facts:
    """From the file that check_input writes."""
    found = json.loads(Path(path).read_text())
    return Facts(found["n_particles"], found["box_size"], found["radius"])


def memory_mb(cost: Cost, attempt: int) -> int:
    """To ask for; half as much again after each failure."""
    return int(1.5 ** (attempt - 1) * cost.memory_mb)


def minutes(cost: Cost, attempt: int) -> int:
    """To ask for; twice as many after each failure."""
    return int(2 ** (attempt - 1) * (10 + 2 * cost.seconds / 60))


def prepare(facts: Facts) -> Cost:
    """Reading all images at 100 MB a second, and what follows on the cropped ones."""
    seconds = facts.n * (4e-8 * facts.box_size**2 + 7e-7 * facts.pixels)
    # The particle file as text, eight images, 512 prepared ones with their places, and maps.
    memory = 2000 + 2e-3 * facts.n + 3e-4 * facts.box_size**2
    memory += 512 * 18e-5 * facts.pixels + 8e-5 * (2 * facts.radius + 4) ** 3
    return Cost(memory, seconds, seconds)


def em3d(facts: Facts, config: dict[str, Any], columns: int, copies: float = 0) -> Cost:
    """Classifications with so many classes together; `copies` of the images in memory besides."""
    limit = 1024 * config["max_memory_gb"]
    voxels = 2 / 3 * math.pi * (facts.radius + 2) ** 3
    tiles = -(-columns // TILE)
    memory = (
        2000
        + copies * facts.images_mb
        + min(16 * facts.images_mb, limit / 2)
        + min(tiles * TILE * voxels * 80e-6, limit / 4)
        + columns * (8e-6 * facts.n + 40e-6 * (2 * facts.radius + 4) ** 3)
    )
    seconds = facts.n * facts.pixels * (5e-8 + 7e-8 * tiles)
    options = config["runs"]["em3d"] or {"full_iterations": 25, "online_epochs": 0}
    passes = options["full_iterations"] + options["online_epochs"] + 3
    if start := options.get("start_resolution"):
        pixels = 0.5 if start == "auto" else (config["filter_resolution"] / start) ** 2
        passes += options["full_iterations"] * pixels
    return Cost(memory, seconds, passes * seconds)


def subspace(facts: Facts, config: dict[str, Any]) -> Cost:
    """Fitting a basis, its recipes and held-out folds; operators are kept pixel by pixel."""
    limit = 1024 * config["max_memory_gb"]
    operators = min(16 * facts.images_mb, limit)
    seconds = facts.n * facts.pixels * 14e-8
    return Cost(2000 + 2 * facts.images_mb + operators, seconds, 120 * seconds)


def judge(facts: Facts, config: dict[str, Any]) -> Cost:
    """Classifying each half-set alone, one after the other, for the held-out evidence."""
    options = config["runs"]["em3d"]
    columns = 1 + options["evidence_seeds"] * sum(options["n_classes"])
    cost = em3d(facts, config, columns, copies=1)
    return cost._replace(memory_mb=max(cost.memory_mb, subspace(facts, config).memory_mb))


def jobs(facts: Facts, config: dict[str, Any]) -> Iterator[tuple[str, Cost]]:
    """Names and costs of the jobs that take long."""
    yield "prepare_particles", prepare(facts)
    for batch in em3d_batches(config):
        yield f"classify_{batch.name}", em3d(facts, config, batch.columns)
    if config["runs"]["em3d"] and config["runs"]["em3d"]["evidence_seeds"]:
        yield "judge_em3d", judge(facts, config)
    if config["runs"]["subspace"]:
        yield "fit_subspace", subspace(facts, config)
