"""Mixtures inside a subspace: thousands of seeded classifications in one pass of products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.classify.operators.lanes import at_once
from emjax.classify.subspace.products import (
    accumulate,
    accumulate_labels,
    class_columns,
    draw_labels,
    feature_blocks,
    padded_rows,
    solve_classes,
)
from emjax.classify.subspace.statistics import Statistics


@dataclass(frozen=True)
class FitOptions:
    """How the seeds are run; only the tolerance changes what a seed converges to."""

    max_iterations: int = 300
    tolerance: float = 1e-5  # of the likelihood gain over the mean map, per iteration
    min_iterations: int = 8
    start_particles: int = 20_000  # random labels of at most so many particles start a seed
    first_particles: int = 100_000  # of twice as many, so many converge before all of them do
    tile_columns: int = 256  # classes of all seeds in one product
    block_rows: int = 262_144  # particles read at once


DEFAULTS = FitOptions()


@dataclass(frozen=True)
class SeededFits:
    """r seeded runs with one number of classes; classes in order of size."""

    n_classes: int
    seeds: Int[np.ndarray, " r"]
    coordinates: Float[np.ndarray, "r k q"]
    class_weights: Float[np.ndarray, "r k"]
    log_likelihood: Float[np.ndarray, " r"]  # above the mean map, sum over particles
    iterations: Int[np.ndarray, " r"]
    converged: np.ndarray

    def best(self) -> int:
        """Row of the run with the best likelihood (the first of equals)."""
        return int(np.argmax(self.log_likelihood))


class _Rows:
    """Feature blocks, kept on the device where there is only one."""

    def __init__(self, features: np.ndarray, block_rows: int):
        self._features, self._block_rows = features, block_rows
        fits = len(features) <= block_rows
        self._kept = list(feature_blocks(features, block_rows)) if fits else None

    def __iter__(self) -> Iterator[Float[Array, "c b f"]]:
        return iter(self._kept or feature_blocks(self._features, self._block_rows))


def fit_seeds(
    statistics: Statistics,
    n_classes: int,
    seeds: Sequence[int],
    options: FitOptions = DEFAULTS,
    initial: Float[np.ndarray, "r k q"] | None = None,
    initial_weights: Float[np.ndarray, "r k"] | None = None,
    keep_order: bool = False,
) -> SeededFits:
    """Fit a mixture of `n_classes` volumes of the subspace from every seed.

    A seed's numbers do not depend on the others: runs go through products of fixed width. Of many
    particles, every m-th converges first, from where all of them need few iterations.

    Args:
        statistics: of the particles.
        n_classes: classes of each run.
        seeds: of the random labels whose averages are the starts.
        options: convergence and sizes.
        initial: starting coordinates of each run instead of random labels.
        initial_weights: starting shares of these classes; equal where None.
        keep_order: of the classes of `initial`, instead of by size.

    Raises:
        ValueError: where there are more classes than particles, or no seed.
    """
    if not 1 <= n_classes <= statistics.n or not len(seeds):
        raise ValueError(
            f"n_classes: found {n_classes} with {len(seeds)} seeds and {statistics.n} particles,"
            " expected 1 … the number of particles and at least one seed"
        )
    weights, before = initial_weights, 0
    step = statistics.n // options.first_particles
    if initial is None and step > 1:
        first = fit_seeds(statistics.take(slice(None, None, step)), n_classes, seeds, options)
        initial, weights, before = first.coordinates, first.class_weights, first.iterations
        options = replace(options, min_iterations=1)
    runs = _Runs(statistics, n_classes, seeds, options, initial, weights)
    for iteration in range(1, options.max_iterations + 1):
        if runs.converged.all():
            break
        runs.iterate(iteration)
    found = runs.result(keep_order)
    return replace(found, iterations=found.iterations + before)


class _Runs:
    """All runs of one number of classes; those that have converged leave the products."""

    def __init__(
        self,
        statistics: Statistics,
        n_classes: int,
        seeds: Sequence[int],
        options: FitOptions,
        initial: Float[np.ndarray, "r k q"] | None,
        weights: Float[np.ndarray, "r k"] | None,
    ):
        self.k, self.q, self.options = n_classes, statistics.n_components, options
        self.rows = _Rows(np.asarray(statistics.features), options.block_rows)
        self.seeds = np.asarray(seeds)
        self.width = max(1, options.tile_columns // n_classes)
        r, dtype = len(self.seeds), np.asarray(statistics.features[:1]).dtype
        self.z = np.zeros((r, n_classes, self.q), dtype)
        self.weights = np.full((r, n_classes), 1 / n_classes, dtype)
        self.likelihood = np.full(r, -np.inf)
        self.iterations = np.zeros(r, np.int32)
        self.converged = np.zeros(r, bool)
        if initial is not None:
            self.z[:] = initial
            self.weights[:] = 1 / n_classes if weights is None else weights
        else:
            self._start(statistics)

    def _start(self, statistics: Statistics) -> None:
        n = min(statistics.n, self.options.start_particles)
        rows = next(feature_blocks(np.asarray(statistics.features[:n]), n))
        for own in self._tiles(np.arange(len(self.seeds))):
            keys = jax.vmap(jax.random.key)(jnp.asarray(self.seeds[own], jnp.uint32))
            labels = draw_labels(keys, self.k, len(rows))
            z, _ = solve_classes(accumulate_labels(rows, labels, self.k), self.q)
            self.z[own] = np.asarray(z)

    def _tiles(self, active: np.ndarray) -> list[np.ndarray]:
        """Runs in groups of one width; the last is filled up with copies."""
        padded = np.resize(active, -(-len(active) // self.width) * self.width)
        padded[len(active) :] = active[-1]
        return list(padded.reshape(-1, self.width))

    def iterate(self, iteration: int) -> None:
        """One E- and M-step of all runs that have not converged."""
        tiles = self._tiles(np.flatnonzero(~self.converged))
        totals: list[tuple[Float[Array, "r k f"], Float[Array, " r"]]] = []
        for block in self.rows:
            found = at_once(partial(self._accumulate, block), tiles)
            totals = jax.tree.map(jnp.add, totals, found) if totals else found
        for i, own in enumerate(tiles):
            sums, evidence = totals[i]
            penalty = 0.5 * np.sum(self.z[own].astype(np.float64) ** 2, (1, 2))
            likelihood = np.asarray(evidence, np.float64) - penalty
            change = likelihood - self.likelihood[own]
            small = change < np.maximum(self.options.tolerance * np.abs(likelihood), 1e-3)
            self.likelihood[own], self.iterations[own] = likelihood, iteration
            z, weights = solve_classes(sums, self.q)
            self.z[own], self.weights[own] = np.asarray(z), np.asarray(weights)
            self.converged[own] = small & (iteration > self.options.min_iterations)

    def _accumulate(
        self, block: Float[Array, "c b f"], own: Int[np.ndarray, " r"]
    ) -> tuple[Float[Array, "r k f"], Float[Array, " r"]]:
        return jax.block_until_ready(accumulate(block, self.z[own], self.weights[own]))

    def result(self, keep_order: bool) -> SeededFits:
        """Runs with their classes in order of size, or in that of their start."""
        order = np.argsort(-self.weights, axis=1, kind="stable")
        if keep_order:
            order[:] = np.arange(self.k)
        return SeededFits(
            n_classes=self.k,
            seeds=self.seeds,
            coordinates=np.take_along_axis(self.z, order[..., None], 1),
            class_weights=np.take_along_axis(self.weights, order, 1),
            log_likelihood=self.likelihood,
            iterations=self.iterations,
            converged=self.converged,
        )


@jax.jit
def _scores(phi: Float[Array, "b f"], theta: Float[Array, "r k f"]) -> Float[Array, "b r k"]:
    return jnp.einsum("bf,rkf->brk", phi, theta)


@jax.jit
def _labels(phi: Float[Array, "b f"], theta: Float[Array, "r k f"]) -> Int[Array, "b r"]:
    return jnp.argmax(_scores(phi, theta), -1)


@jax.jit
def _posteriors(
    phi: Float[Array, "b f"], theta: Float[Array, "1 k f"]
) -> tuple[Float[Array, "b k"], Float[Array, " b"]]:
    scores = _scores(phi, theta)[:, 0]
    return jax.nn.softmax(scores, -1), jax.nn.logsumexp(scores, -1)


def assign(
    statistics: Statistics,
    coordinates: Float[np.ndarray, "r k q"],
    class_weights: Float[np.ndarray, "r k"],
) -> Int[np.ndarray, "n r"]:
    """Most probable class (0-based) of each particle in each run."""
    labels = np.zeros((statistics.n, len(coordinates)), np.int16)
    theta = _columns(statistics, coordinates, class_weights)
    for rows, phi in _chunks(statistics, theta[..., 0].size):
        labels[rows] = np.asarray(_labels(phi, theta))[: rows.stop - rows.start]
    return labels


def posteriors_and_gain(
    statistics: Statistics,
    coordinates: Float[np.ndarray, "k q"],
    class_weights: Float[np.ndarray, " k"],
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Posteriors of one run, and each particle's log-likelihood gain over the mean map."""
    posteriors = np.zeros((statistics.n, len(coordinates)), np.float32)
    gain = np.zeros(statistics.n)
    theta = _columns(statistics, coordinates[None], class_weights[None])
    for rows, phi in _chunks(statistics, theta[..., 0].size):
        length = rows.stop - rows.start
        found = _posteriors(phi, theta)
        posteriors[rows], gain[rows] = (np.asarray(values)[:length] for values in found)
    return posteriors, gain


def _columns(
    statistics: Statistics,
    coordinates: Float[np.ndarray, "r k q"],
    class_weights: Float[np.ndarray, "r k"],
) -> Float[Array, "r k f"]:
    dtype = statistics.features.dtype
    return class_columns(jnp.asarray(coordinates, dtype), jnp.asarray(class_weights, dtype))


def _chunks(statistics: Statistics, n_classes: int) -> Iterator[tuple[slice, Float[Array, "b f"]]]:
    """Particles, and their rows [g, vech G, 1] with zeros as padding, for so many classes."""
    features = statistics.features
    size = min(padded_rows(statistics.n), max(256, min(65_536, 8_000_000 // n_classes)))
    for start in range(0, statistics.n, size):
        part = np.asarray(features[start : start + size])
        phi = np.zeros((size, part.shape[1] + 1), part.dtype)
        phi[: len(part), :-1] = part
        phi[: len(part), -1] = 1
        yield slice(start, start + len(part)), jnp.asarray(phi)
