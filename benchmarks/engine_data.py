"""Particles for timing: on disk, of any number, and how the engine's time is taken."""

import resource
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from emjax.classify.em3d.expectation import sweep
from emjax.classify.em3d.iterations import iterate
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Scene, make_scene
from emjax.classify.operators.passes import Engine
from emjax.imaging.crop import grid_for
from emjax.imaging.ctf import CTF
from emjax.imaging.masks import sphere
from emjax.imaging.particles import Particles, cropped_particles

BOX_SIZE, PIXEL_SIZE = 64, 6.0


def cpu_seconds() -> float:
    """User and system time of this process, all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_gigabytes() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def noise_particles(n: int, resolution: float, path: Path) -> Particles:
    """n images of white noise at uniform poses in a file that is mapped; 64 pixels of 6 Å."""
    grid = grid_for(BOX_SIZE, PIXEL_SIZE, resolution)
    rng = np.random.default_rng(0)
    shape = (n, int(grid.kx.shape[0]))
    images = np.lib.format.open_memmap(path, "w+", np.complex64, shape)
    for start in range(0, n, 2000):
        part = images[start : start + 2000]
        part[:] = rng.standard_normal((len(part), 2 * shape[1]), np.float32).view(np.complex64)
    images.flush()
    del images
    one, defocus = np.ones(n), rng.uniform(8_000, 25_000, n)
    return cropped_particles(
        np.load(path, mmap_mode="r"),
        Rotation.random(n, rng).as_matrix(),
        CTF(defocus, defocus, 0 * one, 0 * one, 300 * one, 2.7 * one, 0.1 * one),
        (np.arange(n) % 2 + 1).astype(np.int8),
        np.zeros(n, np.int32),
        BOX_SIZE,
        PIXEL_SIZE,
        grid.radius,
    )


def random_states(engine: Engine, n_classes: int, seeds: int) -> list[RunState]:
    """Runs whose maps are noise, so that every class takes part in every particle."""
    d = engine.grid.box_size
    return [
        RunState(
            Run(n_classes, seed),
            np.random.default_rng(seed).normal(0, 1e-4, (n_classes, d, d, d)).astype(np.float32),
            np.full(n_classes, 1 / n_classes, np.float32),
            np.zeros(0, np.int32),
        )
        for seed in range(seeds)
    ]


def sweep_seconds(engine: Engine, n_classes: int, seeds: int, repeats: int = 3) -> float:
    """CPU seconds of one pass (E-step and insertion) for some runs, median after a first one."""
    states = random_states(engine, n_classes, seeds)
    one_pass(engine, states)
    return float(np.median([_timed(one_pass, engine, states) for _ in range(repeats)]))


Work = Callable[[Engine, list[RunState]], object]


def one_pass(engine: Engine, states: list[RunState]) -> None:
    """E-step and insertion of all particles."""
    sweep(engine, engine.blocks(), states, 0.0)


def one_iteration(engine: Engine, states: list[RunState]) -> None:
    """A pass, and the maps of all classes solved, filtered and masked."""
    iterate(engine, _scene(engine.grid.box_size), states, Em3dOptions())


@cache
def _scene(d: int) -> Scene:
    mean_map = np.random.default_rng(0).normal(0, 1e-4, (d, d, d)).astype(np.float32)
    return make_scene(mean_map, sphere(d))


def beside(
    engines: Sequence[Engine], n_classes: int, seeds: int, work: Work = one_pass, rounds: int = 3
) -> tuple[float, ...]:
    """CPU seconds of some work by engines that alternate, so that all see the same machine.

    In each round an engine with fewer particles works more often (at most 20 times), and the mean
    counts: a short time alone is at the mercy of what else the machine does.
    """
    states = [random_states(engine, n_classes, seeds) for engine in engines]
    for engine, own in zip(engines, states, strict=True):
        work(engine, own)
    most = max(engine.particles.n for engine in engines)
    times = [min(20, most // engine.particles.n) for engine in engines]
    taken = [
        [
            sum(_timed(work, engine, own) for _ in range(n)) / n
            for engine, own, n in zip(engines, states, times, strict=True)
        ]
        for _ in range(rounds)
    ]
    return tuple(np.median(taken, 0).tolist())


def _timed(work: Work, engine: Engine, states: list[RunState]) -> float:
    before = cpu_seconds()
    work(engine, states)
    return cpu_seconds() - before
