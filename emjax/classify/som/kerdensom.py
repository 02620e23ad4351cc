"""KerDenSOM: classify aligned images on a map of nodes whose neighbours look similar.

Seeds differ in where the map starts; all seeds of a batch share every pass of the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.classify.som import ecm, xmipp
from emjax.classify.som.components import (
    Components,
    find_components,
    leading_eigenvectors,
    with_signs,
)
from emjax.classify.som.grid import Layout, MapGrid
from emjax.classify.som.quality import MapQuality, map_quality
from emjax.errors import OptionError


@dataclass(frozen=True)
class SomOptions:
    """Options of a KerDenSOM.

    Attributes:
        map: columns and rows of the map.
        layout: rect (4 neighbours) or hexa (6).
        mode: ecm, or xmipp to compute as the original does.
        regularisation: first and last ϑ; the first is larger.
        annealing_steps: number of ϑ from first to last, evenly spaced in the logarithm.
        max_iterations: most iterations per step.
        tolerance: a step ends when the code vectors move by less than this share of the width.
        start: pca (on the leading plane) or random. xmipp always starts from random memberships.
        n_components: principal components of mode ecm; None: by held-out likelihood.
    """

    map: tuple[int, int] = (7, 7)
    layout: Layout = "rect"
    mode: Literal["ecm", "xmipp"] = "ecm"
    regularisation: tuple[float, float] = (1000.0, 200.0)
    annealing_steps: int = 5
    max_iterations: int = 200
    tolerance: float = 1e-5
    start: Literal["pca", "random"] = "pca"
    n_components: int | None = None

    def check(self, n_particles: int) -> None:
        """Refuse options that cannot be, in one line."""
        first, last = self.regularisation
        if not first > last > 0:
            raise OptionError(
                "initial_regularisation",
                f"{first:g}, final_regularisation {last:g}",
                "an initial value above the final one, both above 0",
            )
        if self.annealing_steps < 2:
            raise OptionError("annealing_steps", self.annealing_steps, "2 or more")
        for name, allowed in (("mode", ("ecm", "xmipp")), ("start", ("pca", "random"))):
            if getattr(self, name) not in allowed:
                raise OptionError(name, getattr(self, name), " or ".join(allowed))
        if self.grid.n_nodes > n_particles:
            raise OptionError(
                "map",
                f"{self.map[0]} x {self.map[1]} = {self.grid.n_nodes} nodes",
                f"at most one per particle ({n_particles})",
            )
        if self.n_components is not None and self.n_components < 2:
            raise OptionError("n_components", self.n_components, "auto, or 2 or more")

    @property
    def grid(self) -> MapGrid:
        """The map's nodes."""
        return MapGrid(*self.map, self.layout)

    @property
    def schedule(self) -> Float[np.ndarray, " steps"]:
        """Regularisation of each annealing step."""
        return np.geomspace(*self.regularisation, self.annealing_steps)


@dataclass(frozen=True)
class Iteration:
    """One row of the convergence table; objective and change are nan in mode xmipp."""

    step: int
    regularisation: float
    iteration: int
    width: float
    objective: float
    change: float


@dataclass(frozen=True)
class SomRun:
    """A trained map.

    Attributes:
        seed: its seed.
        code_vectors: one per node, in the space of the vectors.
        width: standard deviation of the kernel.
        posteriors: membership of each particle in each node; rows sum to 1.
        table: convergence, a row per iteration.
        converged: whether the last annealing step converged.
        quality: errors and empty nodes, in the space where the map was trained.
    """

    seed: int
    code_vectors: Float[np.ndarray, "c p"]
    width: float
    posteriors: Float[np.ndarray, "n c"]
    table: list[Iteration]
    converged: bool
    quality: MapQuality

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Node of each particle, 0-based."""
        return np.argmax(self.posteriors, axis=1)


def train_maps(
    vectors: Float[np.ndarray, "n p"],
    options: SomOptions,
    seeds: Sequence[int],
    low_pass: Callable[[float], Float[np.ndarray, "p m"]] | None = None,
) -> list[SomRun]:
    """Train one map per seed.

    Args:
        vectors: masked images; may be memory-mapped in mode ecm.
        options: options of the map.
        seeds: seeds of the starts. With `start: pca` seed 0 lies on the leading plane of all
            particles, every other one on that of its random half.
        low_pass: of the vectors' pixels (`MaskedPixels.low_pass`): with it, mode ecm looks only at
            the detail that held-out vectors gain from.

    Raises:
        OptionError: where the options do not fit each other or the data.
    """
    options.check(len(vectors))
    if options.mode == "xmipp":
        data = jnp.asarray(vectors, jax.dtypes.canonicalize_dtype(vectors.dtype))
        return [_train_xmipp(data, options, seed) for seed in seeds]
    components = find_components(vectors, options.n_components, low_pass)
    return _train_ecm(components.project(vectors), components, options, seeds)


def _train_ecm(
    data: Float[np.ndarray, "n q"],
    components: Components,
    options: SomOptions,
    seeds: Sequence[int],
) -> list[SomRun]:
    blocks = ecm.Blocks.create(jnp.asarray(data))
    laplacian = jnp.asarray(options.grid.laplacian, data.dtype)
    variance = components.variance
    starts = np.stack([_start(data, variance, options, seed) for seed in seeds])
    codes = ecm.Codes(
        jnp.asarray(starts), jnp.asarray(np.full(len(seeds), variance.mean(), data.dtype))
    )
    tables: list[list[Iteration]] = [[] for _ in seeds]
    converged = np.zeros(len(seeds), bool)
    for step, regularisation in enumerate(options.schedule):
        codes, trace = ecm.anneal(
            blocks,
            codes,
            laplacian,
            jnp.asarray(regularisation, data.dtype),
            max_iterations=options.max_iterations,
            tolerance=options.tolerance,
        )
        for run, table in enumerate(tables):
            columns = (
                np.asarray(t)[:, run] for t in (trace.variance, trace.objective, trace.change)
            )
            rows = zip(*columns, strict=True)
            table += [
                Iteration(step, float(regularisation), i, float(np.sqrt(v)), float(f), float(c))
                for i, (v, f, c) in enumerate(rows)
                if i < int(trace.iterations[run])
            ]
        converged = np.asarray(trace.converged)
    posteriors = _posteriors(data, codes)
    return [
        SomRun(
            seed,
            components.restore(np.asarray(codes.vectors[run])),
            float(np.sqrt(codes.variance[run])),
            posteriors[run],
            tables[run],
            bool(converged[run]),
            map_quality(data, np.asarray(codes.vectors[run]), options.grid),
        )
        for run, seed in enumerate(seeds)
    ]


def _start(
    data: Float[np.ndarray, "n q"],
    variance: Float[np.ndarray, " q"],
    options: SomOptions,
    seed: int,
) -> Float[np.ndarray, "c q"]:
    """Code vectors on the leading plane, or the means of random parts of the particles."""
    rng = np.random.default_rng(seed)
    grid = options.grid
    if options.start == "random":
        member = np.eye(grid.n_nodes, dtype=data.dtype)[rng.integers(0, grid.n_nodes, len(data))]
        return member.T @ data / np.maximum(member.sum(0), 1)[:, None]
    # The map's longer side goes along the first component; it spans ±2 standard deviations.
    position = grid.positions - grid.positions.mean(0)
    along, across = np.argsort(-np.ptp(position, axis=0), kind="stable")
    half_side = max(np.ptp(position) / 2, 0.5)
    plane = (2 * position[:, [along, across]] / half_side).astype(data.dtype)
    if seed == 0:
        return plane @ np.eye(2, len(variance), dtype=data.dtype) * np.sqrt(variance)
    half = data[rng.random(len(data)) < 0.5]
    values, vectors = leading_eigenvectors(half.T @ half / max(len(half), 1), 2)
    return plane @ (with_signs(vectors) * np.sqrt(np.maximum(values, 0))[:, None])


def _posteriors(
    data: Float[np.ndarray, "n q"], codes: ecm.Codes, rows_per_block: int = 8192
) -> Float[np.ndarray, "r n c"]:
    n_seeds, n_nodes, _ = codes.vectors.shape
    out = np.empty((n_seeds, len(data), n_nodes), np.float32)
    memberships = jax.jit(ecm.memberships)
    for start in range(0, len(data), rows_per_block):
        rows = slice(start, start + rows_per_block)
        posterior, _ = memberships(jnp.asarray(data[rows]), codes)
        out[:, rows] = np.moveaxis(np.asarray(posterior), 1, 0)
    return out


def _train_xmipp(data: Float[Array, "n p"], options: SomOptions, seed: int) -> SomRun:
    grid = options.grid
    laplacian = jnp.asarray(grid.laplacian, data.dtype)
    state = xmipp.random_start(data, grid.n_nodes, key=jax.random.key(seed))
    table: list[Iteration] = []
    trace = None
    for step, regularisation in enumerate(options.schedule):
        state, trace = xmipp.anneal(
            data,
            state,
            laplacian,
            jnp.asarray(regularisation, data.dtype),
            max_iterations=options.max_iterations,
        )
        sigma = np.asarray(trace.sigma)[: int(trace.iterations)]
        table += [
            Iteration(step, float(regularisation), i, float(np.sqrt(s)), np.nan, np.nan)
            for i, s in enumerate(sigma)
        ]
    assert trace is not None
    code_vectors = np.asarray(state.vectors)
    return SomRun(
        seed,
        code_vectors,
        table[-1].width,
        np.asarray(xmipp.memberships(data, state)[0]),
        table,
        bool(trace.converged),
        map_quality(np.asarray(data), code_vectors, grid),
    )
