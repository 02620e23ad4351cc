"""What `gpu.py` measures, a step in each process: python benchmarks/gpu_steps.py STEP [--tiny]."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from engine_data import random_states
from scipy.spatial.transform import Rotation

from emjax.campaign.job import set_up_jax
from emjax.classify.em3d.expectation import insert_columns, sweep
from emjax.classify.operators import native, pallas, sparse
from emjax.classify.operators.passes import Engine, make_engine
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.operators.sparse import TILE
from emjax.classify.subspace.basis import BasisOptions, fit_basis
from emjax.classify.subspace.mixture import FitOptions, fit_seeds, posteriors_and_gain
from emjax.classify.subspace.statistics import Statistics, pack
from emjax.imaging.crop import grid_for
from emjax.imaging.ctf import CTF
from emjax.imaging.maps import back_project, slicing_values, solve_map
from emjax.imaging.masks import sphere
from emjax.imaging.particles import Particles, cropped_particles

CLASSES, SEEDS = 4, 10
TOLERANCE = 2e-5  # of the largest number: single precision, sums in another order


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    box: int = 64
    pixel: float = 6.0
    resolution: float = 12.4  # Å: all frequencies, 1410 independent pixels
    checked: int = 600  # particles
    passes: tuple[int, ...] = (100_000, 1_000_000)
    real: int = 4096  # particles in blocks that stand for all
    blocks: int = 8  # of these
    copied: int = 2**28  # numbers
    square: int = 8192
    campaign: tuple[int, int] = (100_000, 1000)  # particles and seeds in a subspace
    tiles: tuple[int, ...] = (256, 4096)
    basis: int = 4800
    summed: int = 2000
    least: float = 0.3  # seconds that a median comes from


TINY = Sizes(32, 8.0, 40.0, 48, (64, 72), 64, 2, 2**12, 64, (400, 8), (64,), 64, 40, 0.0)


def tell(**found: object) -> None:
    """A line for the step, kept whatever comes after it."""
    print(json.dumps(found, default=str, ensure_ascii=False), flush=True)


class Bench:
    """The steps, with particles of noise in their sizes."""

    def __init__(self, sizes: Sizes):
        """Nothing is computed yet."""
        self.sizes = sizes

    @cached_property
    def n_pixels(self) -> int:
        """Independent pixels of an image."""
        return int(self._grid.kx.shape[0])

    @cached_property
    def _grid(self):
        return grid_for(self.sizes.box, self.sizes.pixel, self.sizes.resolution)

    def particles(self, n: int, real: bool = True) -> Particles:
        """White noise at uniform poses; one image stands for all where they are not read."""
        rng, shape = np.random.default_rng(0), (n if real else 1, 2 * self.n_pixels)
        images = rng.standard_normal(shape, np.float32).view(np.complex64)
        one, defocus = np.ones(n), rng.uniform(8_000, 25_000, n)
        return cropped_particles(
            images if real else np.broadcast_to(images, (n, self.n_pixels)),
            Rotation.random(n, rng).as_matrix(),
            CTF(defocus, defocus, 0 * one, 0 * one, 300 * one, 2.7 * one, 0.1 * one),
            (np.arange(n) % 2 + 1).astype(np.int8), np.zeros(n, np.int32),
            self.sizes.box, self.sizes.pixel, self._grid.radius,
        )  # fmt: skip

    def seconds(self, work: Callable[[], object]) -> float:
        """Median time of some work, from its start to where its result is there."""
        jax.block_until_ready(work())
        taken: list[float] = []
        while sum(taken) < self.sizes.least or len(taken) < 3:
            start = time.perf_counter()
            jax.block_until_ready(work())
            taken.append(time.perf_counter() - start)
        return float(np.median(taken))

    def info(self) -> None:
        """The device, and what it can do at best."""
        device, sizes = jax.devices()[0], self.sizes
        tell(
            device=device.device_kind, devices=jax.device_count(), backend=jax.default_backend(),
            memory_gb=(device.memory_stats() or {}).get("bytes_limit", 0) / 1e9,
            cores=len(os.sched_getaffinity(0)), jax=jax.__version__,
            interpreted=pallas.interpreted(), compiled_cpu_engine=native.available(),
        )  # fmt: skip
        x, more = jnp.ones(sizes.copied, jnp.float32), jax.jit(lambda a: a + 1)
        tell(copy_gb_per_s=8 * sizes.copied / self.seconds(lambda: more(x)) / 1e9)
        a = jax.random.normal(jax.random.key(0), (sizes.square, sizes.square))
        exact = np.asarray(a[:64], np.float64) @ np.asarray(a, np.float64)
        for precision in ("default", "highest"):
            product = jax.jit(lambda u, v, p=precision: jnp.matmul(u, v, precision=p))
            apart = np.linalg.norm(np.asarray(product(a[:64], a)) - exact) / np.linalg.norm(exact)
            speed = 2 * sizes.square**3 / self.seconds(lambda p=product: p(a, a)) / 1e12
            tell(**{f"matmul_{precision}": {"tflops": speed, "relative_error": float(apart)}})

    def check(self) -> None:
        """Log-likelihoods and sums of the kernels beside those of the CPU's engine."""
        reference = native if native.available() else sparse
        particles, columns = self.particles(self.sizes.checked), TILE + 3
        d, rng = self._grid.box_size, np.random.default_rng(1)
        maps = rng.normal(0, 0.05, (columns, d, d, d)).astype(np.float32)
        posteriors = rng.random((particles.n, columns), np.float32)
        values = [np.asarray(slicing_values(jnp.asarray(v), particles.grid)) for v in maps]

        def found(backend) -> tuple[np.ndarray, ...]:
            engine = make_engine(particles, backend=backend)
            tables = engine.tables(values)
            ell = [engine.log_likelihoods(r, b, tables)[: len(r.rows)] for r, b in engine.blocks()]
            sums = insert_columns(engine, posteriors)
            return np.concatenate(ell), np.asarray(sums.numerator), np.asarray(sums.denominator)

        cpu, once, twice = found(reference), found(pallas), found(pallas)
        apart = [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(cpu, once)]
        tell(
            beside=reference.__name__.split(".")[-1], particles=particles.n, columns=columns,
            apart=dict(zip(("log_likelihood", "numerator", "denominator"), apart)),
            tolerance=TOLERANCE, holds=max(apart) <= TOLERANCE,
            same_bits_twice=all(np.array_equal(a, b) for a, b in zip(once, twice)),
        )  # fmt: skip

    def times(self) -> None:
        """Kernels alone, then passes in which a few real blocks stand for all of their half."""
        few = make_engine(self.particles(self.sizes.real), backend=pallas)
        start, blocks = time.perf_counter(), []
        for index in range(min(self.sizes.blocks, len(few.layout.blocks))):
            blocks.append(jax.block_until_ready(few.block(index)))
        made = (time.perf_counter() - start) / len(blocks) / few.layout.block_size
        size, key, v = few.layout.block_size, jax.random.key(0), len(few.grid.kxyz)
        real, imaginary = 1e-3 * jax.random.normal(key, (2, v, TILE))
        posteriors = jax.random.uniform(key, (size, TILE))

        def inserted():
            sums = pallas.empty_sums(1, v, jax.devices()[0])[0]
            for block in blocks:
                sums = pallas.add_up(block, posteriors, sums)
            return sums

        e_step = self.seconds(
            lambda: [pallas.slice_and_compare(b, real, imaginary) for b in blocks]
        )
        m_step = self.seconds(inserted)
        together = size * len(blocks)
        tell(
            pixels=self.n_pixels, voxels=v, block_particles=size,
            us_per_particle_made=1e6 * made,
            e_step_particle_classes_per_s=together * TILE / e_step,
            # Eight voxels of a table of real and imaginary parts for each pixel.
            e_step_gather_tb_per_s=together * self.n_pixels * 8 * 2 * TILE * 4 / e_step / 1e12,
            m_step_particle_classes_per_s=together * TILE / m_step,
        )  # fmt: skip
        for n in self.sizes.passes:
            tell(**{f"pass_{n}": self._pass(n, few, blocks)})

    def _pass(self, n: int, few: Engine, blocks: list) -> dict[str, float]:
        engine = make_engine(self.particles(n, real=False), backend=pallas)
        if engine.layout.block_size != few.layout.block_size:
            raise ValueError(f"blocks of {n} and of {few.particles.n} particles differ in size")
        states = random_states(few, CLASSES, SEEDS)

        def resident(count: int | None = None) -> Iterator:
            for index, rows in enumerate(engine.layout.blocks[:count]):
                yield rows, blocks[index % len(blocks)]

        sweep(engine, resident(4), states, 0.0)
        cpu, start = time.process_time(), time.perf_counter()
        sweep(engine, resident(), states, 0.0)
        wall = time.perf_counter() - start
        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9
        return {
            "wall_s": wall, "host_cpu_s": time.process_time() - cpu, "device_peak_gb": peak,
            "particle_classes_per_s": CLASSES * SEEDS * n / wall,
        }  # fmt: skip

    def seeds(self) -> None:
        """An iteration of all seeds, and what the highest precision changes."""
        (n, count), q, rng = self.sizes.campaign, 8, np.random.default_rng(0)
        a = rng.standard_normal((n, q, 12), np.float32)
        centres, states = 2 * rng.standard_normal((CLASSES, q)), rng.integers(0, CLASSES, n)
        quadratic = a @ a.transpose(0, 2, 1)
        linear = np.einsum("nij,nj->ni", quadratic, centres[states])
        linear += np.einsum("nij,nj->ni", a, rng.standard_normal((n, 12)))
        statistics = Statistics(pack(linear.astype(np.float32), quadratic), np.zeros(n), q)
        shares, gains = np.full(CLASSES, 1 / CLASSES, np.float32), []
        tell(particles=n, seeds=count, classes=CLASSES, components=q)
        for precision in ("default", "highest"):
            with jax.default_matmul_precision(precision):
                for tile in self.sizes.tiles:
                    options = FitOptions(max_iterations=4, min_iterations=10, tile_columns=tile)
                    fit_seeds(statistics, CLASSES, range(count), options)
                    start = time.perf_counter()
                    found = fit_seeds(statistics, CLASSES, range(count), options)
                    each = (time.perf_counter() - start) / int(found.iterations.max())
                    tell(**{f"{precision}_tiles_of_{tile}_s_per_iteration": each})
                gains.append(posteriors_and_gain(statistics, centres.astype(np.float32), shares)[1])
        tell(log_likelihood_apart_rms=float(np.sqrt(np.mean((gains[0] - gains[1]) ** 2))))

    def basis(self) -> None:
        """Blocks made, then iterations with them at hand."""
        particles, d = self.particles(self.sizes.basis), self._grid.box_size
        operators = make_pixel_operators(particles)
        start = time.perf_counter()
        for _, block in operators.blocks():
            jax.block_until_ready(block)
        made = time.perf_counter() - start
        kept = operators.store.n_kept / len(operators.store.rows)
        rng = np.random.default_rng(0)
        volume = jnp.asarray(rng.normal(0, 1e-3, (d, d, d)).astype(np.float32))
        mean, mask, taken = slicing_values(volume, particles.grid), sphere(d), []
        for iterations in (1, 1, 5):  # the first time compiles
            start = time.perf_counter()
            fit_basis(operators, mean, mask, BasisOptions(iterations=iterations))
            taken.append(time.perf_counter() - start)
        tell(
            particles=particles.n, share_of_blocks_kept=kept,
            us_per_particle_made=1e6 * made / particles.n,
            iteration_us_per_particle=1e6 * (taken[2] - taken[1]) / 4 / particles.n,
        )  # fmt: skip

    def bits(self) -> None:
        """The same computation twice in one process; scatters may add up in another order."""
        particles = self.particles(self.sizes.summed)
        mask, grid = jnp.asarray(sphere(self._grid.box_size)), particles.grid
        sums = back_project(particles, grid)
        columns = np.random.default_rng(0).random((particles.n, 3), np.float32)
        engine = make_engine(particles, backend=pallas)

        def inserted() -> tuple[np.ndarray, np.ndarray]:
            found = insert_columns(engine, columns)
            return np.asarray(found.numerator), np.asarray(found.denominator)

        work = {
            "back_project": lambda: back_project(particles, grid),
            "solve_map": lambda: solve_map(*sums, mask, grid),
            "insert": inserted,
        }
        tell(xla_flags=os.environ.get("XLA_FLAGS", ""))
        for name, once in work.items():
            pairs = list(zip(jax.tree.leaves(once()), jax.tree.leaves(once()), strict=True))
            same = all(np.array_equal(a, b) for a, b in pairs)
            apart = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)
            tell(**{name: {"same_bits": same, "apart": apart, "seconds": self.seconds(once)}})

    def two(self) -> None:
        """What needs memory and the device's libraries, for as long as another job takes too."""
        d = 4 * self.sizes.box
        start = time.perf_counter()
        while True:
            power = jnp.abs(jnp.fft.rfftn(jnp.ones((d, d, d)))).sum()
            systems = jnp.eye(64) * jnp.ones((100, 1, 1))
            solved = jnp.linalg.solve(systems, jnp.ones((100, 64, 1))).sum()
            if time.perf_counter() - start > 20 * self.sizes.least:
                break
        right = abs(float(power) - d**3) < 1e-3 * d**3 and abs(float(solved) - 6400) < 1
        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9
        tell(right=right, device_peak_gb=peak)


def main() -> None:
    """One step."""
    steps = ("info", "check", "times", "seeds", "basis", "bits", "two")
    parser = argparse.ArgumentParser(description="One step of gpu.py")
    parser.add_argument("step", choices=steps)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    set_up_jax()  # as jobs do, before JAX looks for devices
    getattr(Bench(TINY if arguments.tiny else Sizes()), arguments.step)()


if __name__ == "__main__":
    sys.exit(main())
