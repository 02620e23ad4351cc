"""What the heavy jobs of a campaign cost, from the number of particles, box and resolution.

The rules ask a cluster for this; `make dry-run` tells it before anything is computed. Seconds are
those of one core with the compiled engine, somewhat more than benchmarks/RESULTS.md measured; a job
is given four times what they come to on two, so that a slow or shared machine, or one without a
compiler, is enough.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from emjax.campaign.settings import em3d_batches, run_names, seed_list, som_batches

TILE = 16  # classes that are sliced and inserted together
BASE_MB = 2000  # Python, JAX, compiled code
TABLE_MB = 2e-3  # a particle's row of the particle file, as text


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
    def voxels(self) -> float:
        """Independent Fourier voxels of a map."""
        return 2 / 3 * math.pi * (self.radius + 2) ** 3

    @property
    def map_voxels(self) -> int:
        """Voxels of a map in its cropped box."""
        return (2 * self.radius + 4) ** 3

    @property
    def images_mb(self) -> float:
        """All prepared images in single precision."""
        return self.n * self.pixels * 8e-6

    @property
    def always_mb(self) -> float:
        """What every job holds."""
        return BASE_MB + TABLE_MB * self.n


class Cost(NamedTuple):
    """Of one job; time is that of one pass or iteration, and of the whole on one core."""

    memory_mb: float
    seconds_an_iteration: float
    seconds: float
    least_minutes: int = 10  # to ask for; more where the estimate is rough


def read_facts(path: str | Path) -> Facts:
    """From the file that check_input writes."""
    found = json.loads(Path(path).read_text())
    return Facts(found["n_particles"], found["box_size"], found["radius"])


def memory_mb(cost: Cost, attempt: int) -> int:
    """To ask for; half as much again after each failure."""
    return int(1.5 ** (attempt - 1) * cost.memory_mb)


def minutes(cost: Cost, attempt: int) -> int:
    """To ask for; twice as many after each failure."""
    return int(2 ** (attempt - 1) * (cost.least_minutes + 2 * cost.seconds / 60))


def prepare(facts: Facts) -> Cost:
    """Reading all images at 100 MB a second, and what follows on the cropped ones."""
    seconds = facts.n * (4e-8 * facts.box_size**2 + 7e-7 * facts.pixels)
    # Eight images, 512 prepared ones with their places, and maps.
    memory = facts.always_mb + 3e-4 * facts.box_size**2
    memory += 512 * 18e-5 * facts.pixels + 8e-5 * facts.map_voxels
    return Cost(memory, seconds, seconds)


def em3d(facts: Facts, config: dict[str, Any], columns: int) -> Cost:
    """Classifications with so many classes together."""
    limit = 1024 * config["max_memory_gb"]
    options = config["runs"]["em3d"]
    tiles = -(-columns // TILE)
    # Neither a run nor a tile is divided.
    widest = -(-max(options["n_classes"]) // TILE)
    blocks = min(16 * facts.images_mb, limit / 2)
    if options["initial"] == "variability":
        blocks = max(blocks, min(17 * facts.images_mb, limit))
    tile = TILE * 140e-6 * facts.voxels
    memory = (
        facts.always_mb
        + blocks
        + min(tiles * tile, max(limit / 4, widest * tile))
        + 280e-6 * facts.voxels  # entries of the blocks being inserted
        + limit / 8  # maps being solved
        + columns * (6e-6 * facts.n + 40e-6 * facts.map_voxels)
    )
    if options["initial"] == "pca":
        memory += options["pca_reconstructions"] * (1e-6 * facts.n + 16e-6 * facts.map_voxels)
    seconds = facts.n * facts.pixels * (4e-8 + 3e-8 * tiles) + 4.5e-8 * columns * facts.map_voxels
    passes = options["full_iterations"] + options["online_epochs"] + 3
    if start := options["start_resolution"]:
        pixels = 0.5 if start == "auto" else (config["filter_resolution"] / start) ** 2
        passes += options["full_iterations"] * pixels
    return Cost(memory, seconds, passes * seconds)


def subspace(facts: Facts, config: dict[str, Any]) -> Cost:
    """Fitting a basis, its recipes and held-out folds; operators are kept pixel by pixel."""
    operators = min(17 * facts.images_mb, 1024 * config["max_memory_gb"])
    # Statistics with the derivatives that pose errors follow; these, and components, as maps.
    memory = facts.always_mb + operators + 3e-3 * facts.n + 1e-3 * facts.map_voxels
    seconds = facts.n * facts.pixels * 14e-8
    return Cost(memory, seconds, 120 * seconds)


def subspace_seeds(facts: Facts, config: dict[str, Any]) -> Cost:
    """Every seed and number of classes; a particle is a few moments of its coordinates."""
    options = config["runs"]["subspace"]
    moments = options["n_components"] * (options["n_components"] + 3) / 2
    columns = sum(options["n_classes"]) * len(seed_list(options["seeds"]))
    seconds = 1e-8 * facts.n * moments * columns
    polished = options["polish_iterations"] * options["keep"] * len(options["n_classes"])
    seconds += polished * subspace(facts, config).seconds_an_iteration
    return Cost(subspace(facts, config).memory_mb, seconds, seconds, 120)


def som(facts: Facts, config: dict[str, Any], nodes: int) -> Cost:
    """Maps of so many nodes together; images in real space, their masked copies, and a mirror."""
    options = config["runs"]["som"]
    seconds = 4e-8 * facts.n * nodes
    # Few annealing steps take all of their iterations.
    iterations = options["annealing_steps"] * options["max_iterations"] / 2
    return Cost(facts.always_mb + 6 * facts.images_mb, seconds, iterations * seconds, 120)


def consensus(facts: Facts, runs: int) -> Cost:
    """Reading the tables of so many runs, their intersections, and resampling."""
    seconds = 5 + 1e-5 * facts.n * runs
    memory = facts.always_mb + TABLE_MB * facts.n * runs
    return Cost(memory, seconds, seconds, 60)


def reconstruct(facts: Facts) -> Cost:
    """Reading and inserting all images at full box, as if one class held them all."""
    seconds = 1e-7 * facts.n * facts.box_size**2
    return Cost(8000, seconds, seconds, 60)


def judge(facts: Facts, config: dict[str, Any]) -> Cost:
    """Classifying each half-set alone, one after the other, for the held-out evidence."""
    options = config["runs"]["em3d"]
    numbers = sum(options["n_classes"])
    cost = em3d(facts, config, 1 + options["evidence_seeds"] * numbers)
    # One run of each number starts from the variability besides.
    again = 0 if options["initial"] == "variability" else em3d(facts, config, numbers).seconds
    memory = max(cost.memory_mb, subspace(facts, config).memory_mb)
    return cost._replace(memory_mb=memory, seconds=cost.seconds + again)


def jobs(facts: Facts, config: dict[str, Any]) -> Iterator[tuple[str, Cost]]:
    """Names and costs of the jobs that take long."""
    yield "prepare_particles", prepare(facts)
    for batch in em3d_batches(config):
        yield f"classify_{batch.name}", em3d(facts, config, batch.columns)
    if config["runs"]["em3d"] and config["runs"]["em3d"]["evidence_seeds"]:
        yield "judge_em3d", judge(facts, config)
    if config["runs"]["subspace"]:
        yield "fit_subspace", subspace(facts, config)
        yield "classify_subspace", subspace_seeds(facts, config)
    for batch in som_batches(config):
        yield f"classify_{batch.name}", som(facts, config, batch.columns)
    if runs := run_names(config):
        yield "build_consensus", consensus(facts, len(runs))
        yield "reconstruct_class (all)", reconstruct(facts)
