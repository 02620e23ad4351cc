"""What the heavy jobs of a campaign cost, from the number of particles, box and resolution.

The rules ask a cluster for this; `emjax estimate` prints it before anything is computed. Seconds
are those of one core with the compiled engine, somewhat more than benchmarks/RESULTS.md measured; a
job is given four times what they come to on two, so that a slow or shared machine, or one without a
compiler, is enough.
"""

import math
from importlib.util import find_spec
from typing import Any, NamedTuple

COMPILED = find_spec("emjax.classify.operators._native") is not None  # found, not loaded
# Of the prepared images in single precision: blocks of particles, and those of which a basis is
# fitted. Compiled code keeps images, pixel weights and poses, plain JAX matrices.
BLOCKS, OPERATORS = (1.6, 1.6) if COMPILED else (16, 18)
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


def memory_mb(cost: Cost, attempt: int) -> int:
    """To ask for; half as much again after each failure."""
    return int(1.5 ** (attempt - 1) * cost.memory_mb)


def minutes(cost: Cost, attempt: int) -> int:
    """To ask for; twice as many after each failure."""
    return int(2 ** (attempt - 1) * (cost.least_minutes + 2 * cost.seconds / 60))


def prepare(facts: Facts) -> Cost:
    """Reading all images at 100 MB per second, and what follows on the cropped ones."""
    # Twenty comparisons with a map and its derivatives find outliers and better poses.
    seconds = facts.n * (4e-8 * facts.box_size**2 + 5e-6 * facts.pixels)
    # Eight images, 512 prepared ones with their places, and maps.
    memory = facts.always_mb + 3e-4 * facts.box_size**2
    memory += 512 * 18e-5 * facts.pixels + 8e-5 * facts.map_voxels
    return Cost(memory, seconds, seconds)


def outliers(facts: Facts) -> Cost:
    """Slices of some thirty maps and their derivatives, and a search of every tenth particle."""
    seconds = facts.n * facts.pixels * 1e-6
    memory = facts.always_mb + 512 * 1e-3 * facts.pixels + 3e-3 * facts.map_voxels
    return Cost(memory, seconds, seconds + 20)


def pixel_operators(facts: Facts, config: dict[str, Any], sets: int = 1) -> Cost:
    """Fitting a basis, its recipes and held-out folds.

    Args:
        facts: of the campaign.
        config: of the campaign.
        sets: of operators at a time: a basis inside one class has its own beside those of all.
    """
    operators = min(OPERATORS * facts.images_mb * sets, 1024 * config["max_memory_gb"])
    # Statistics with the derivatives that pose errors follow; these, and components, as maps.
    memory = facts.always_mb + operators + 3e-3 * facts.n + 1e-3 * facts.map_voxels
    seconds = facts.n * facts.pixels * 8e-8
    # Its recipes are many small programs, which take long to compile.
    return Cost(memory, seconds, 20 + 150 * seconds)


def consensus(facts: Facts, config: dict[str, Any], runs: int, settled: bool) -> Cost:
    """Reading the tables of so many runs, their intersections, and resampling.

    Where its classes are settled, a few passes over the images.
    """
    seconds = 5 + 1e-5 * facts.n * runs
    memory = facts.always_mb + TABLE_MB * facts.n * runs
    if settled:
        images = pixel_operators(facts, config)
        memory += images.memory_mb - facts.always_mb
        seconds += 4 * images.seconds_an_iteration
    return Cost(memory, seconds, seconds, 60)


def gallery(facts: Facts) -> Cost:
    """A few slices, and one class's map at full box at a time."""
    memory = facts.always_mb + 60 * 2e-4 * facts.pixels + 6e-5 * facts.box_size**3
    return Cost(memory, 0, 20 + 1e-5 * facts.n)


def reconstruct(facts: Facts) -> Cost:
    """Reading and inserting all images at full box, as if one class held them all; four maps."""
    seconds = 5e-8 * facts.n * facts.box_size**2 + 3e-6 * facts.box_size**3
    # Sums of two half-sets, at twice the box up to 320 pixels, and some ten maps.
    memory = facts.always_mb + (14e-5 if facts.box_size <= 320 else 6e-5) * facts.box_size**3
    return Cost(memory, seconds, seconds, 60)
