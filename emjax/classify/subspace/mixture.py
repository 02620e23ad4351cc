"""Mixtures inside a subspace: thousands of seeded classifications as two matrix products.

Class volumes are V_k = μ + Σ_j z_kj B_j in a fixed basis of q volumes. With fixed poses and CTFs a
particle enters only through g_i = ⟨CPB, F − CPμ⟩ and G_i = ⟨CPB, CPB⟩:
ℓ_i(z) = g_i·z − ½ zᵀG_i z above the mean map, exactly. Rows [g_i, vech G_i, 1] times columns
[z_k, −½z_j² and −z_j z_l, log π_k] are the E-step of every class of every seed; the posteriors
times the same rows are all that the M-step (Σ r G_i + I) z_k = Σ r g_i needs.

Source: Dempster, Laird & Rubin, J. R. Stat. Soc. B 39 (1977) 1; Tipping & Bishop, Neural Comput. 11
(1999) 443.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.classify.subspace.statistics import Statistics

CHUNK = 512  # particles in one product: its columns stay in the cache
PIECE = 64  # particles added up by one thread


@dataclass(frozen=True)
class CampaignOptions:
    """How the seeds are run; none of it changes what a seed converges to but the tolerance."""

    max_iterations: int = 300
    tolerance: float = 1e-5  # of the likelihood gain over the mean map, an iteration
    min_iterations: int = 8
    start_particles: int = 20_000  # random labels of at most so many particles start a seed
    first_particles: int = 100_000  # of twice as many, so many converge before all of them do
    tile_columns: int = 256  # classes of all seeds in one product
    block_rows: int = 262_144  # particles read at once


DEFAULTS = CampaignOptions()


@dataclass(frozen=True)
class Campaign:
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


@jax.jit
def class_columns(
    coordinates: Float[Array, "*r q"], class_weights: Float[Array, "*r"]
) -> Float[Array, "*r f"]:
    """Columns θ whose product with a particle's row is ℓ_i(z) + log π."""
    q = coordinates.shape[-1]
    rows, columns = np.tril_indices(q)
    products = coordinates[..., rows] * coordinates[..., columns]
    factor = np.where(rows == columns, -0.5, -1.0).astype(np.float32)
    log_weights = jnp.log(jnp.maximum(class_weights, 1e-12))[..., None]
    return jnp.concatenate([coordinates, products * factor, log_weights], -1)


@jax.jit
def _accumulate(
    rows: Float[Array, "c b f"],
    coordinates: Float[Array, "r k q"],
    class_weights: Float[Array, "r k"],
) -> tuple[Float[Array, "r k f"], Float[Array, " r"]]:
    """Σ r_ik [g, G, 1] and Σ log Σ_k π_k exp ℓ_ik of each run; padding rows are all zeros."""
    theta = class_columns(coordinates, class_weights)
    r, k, f = theta.shape
    flat = theta.reshape(r * k, f)

    def step(carry, phi):
        sums, evidence = carry
        ell = (phi @ flat.T).reshape(-1, r, k)
        top = jnp.max(ell, -1, keepdims=True)
        # Below −60 a posterior is nothing, and its products would be denormal numbers, which crawl.
        weight = jnp.exp(jnp.maximum(ell - top, -60.0))
        total = jnp.sum(weight, -1, keepdims=True)
        posterior = (weight / total).reshape(-1, r * k)
        gain = phi[:, -1] @ (jnp.log(total) + top)[..., 0]
        return (sums + _times(posterior, phi), evidence + gain), None

    start = (jnp.zeros((r * k, f), theta.dtype), jnp.zeros(r, theta.dtype))
    (sums, evidence), _ = jax.lax.scan(step, start, rows)
    return sums.reshape(r, k, f), evidence


def _times(weights: Float[Array, "b r"], phi: Float[Array, "b f"]) -> Float[Array, "r f"]:
    """weightsᵀ·phi in pieces so short that no thread takes a part of one.

    A longer sum is split over the threads there are, and its last digits with it.
    """

    def step(total, piece):
        return total + piece[0].T @ piece[1], None

    start = jnp.zeros((weights.shape[1], phi.shape[1]), phi.dtype)
    pieces = tuple(a.reshape(-1, PIECE, a.shape[1]) for a in (weights, phi))
    return jax.lax.scan(step, start, pieces)[0]


@partial(jax.jit, static_argnames="n_classes")
def _accumulate_labels(
    rows: Float[Array, "c b f"], keys: Array, n_classes: int
) -> Float[Array, "r k f"]:
    """Σ over particles with random label k of [g, G, 1], for each run's key."""
    c, b, f = rows.shape
    r = keys.shape[0]

    def step(sums, inputs):
        phi, index = inputs
        draw = jax.vmap(
            lambda key: jax.random.randint(jax.random.fold_in(key, index), (b,), 0, n_classes)
        )
        onehot = draw(keys).T[..., None] == jnp.arange(n_classes)
        return sums + _times(onehot.reshape(b, r * n_classes).astype(phi.dtype), phi), None

    start = jnp.zeros((r * n_classes, f), rows.dtype)
    sums, _ = jax.lax.scan(step, start, (rows, jnp.arange(c)))
    return sums.reshape(r, n_classes, f)


@partial(jax.jit, static_argnames="q")
def _solve(
    sums: Float[Array, "r k f"], q: int
) -> tuple[Float[Array, "r k q"], Float[Array, "r k"]]:
    """M-step: (Σ r G + I) z = Σ r g, and the class weights."""
    rows, columns = np.tril_indices(q)
    packed = sums[..., q:-1]
    square = jnp.zeros((*sums.shape[:-1], q, q), sums.dtype)
    square = square.at[..., rows, columns].set(packed).at[..., columns, rows].set(packed)
    system = square + jnp.eye(q, dtype=sums.dtype)
    z = jnp.linalg.solve(system, sums[..., :q, None])[..., 0]
    mass = sums[..., -1]
    return z, mass / jnp.maximum(jnp.sum(mass, -1, keepdims=True), 1e-20)


def feature_blocks(features: np.ndarray, block_rows: int) -> Iterator[Float[Array, "c b f"]]:
    """Rows [g, vech G, 1] in blocks of whole chunks, zeros as padding; one block is in memory."""
    n, f = features.shape
    block_rows = _padded(n) if n <= block_rows else max(CHUNK, block_rows // CHUNK * CHUNK)
    for start in range(0, n, block_rows):
        part = features[start : start + block_rows]
        length = _padded(len(part)) if n <= block_rows else block_rows
        block = np.zeros((length, f + 1), features.dtype)
        block[: len(part), :f] = part
        block[: len(part), f] = 1
        yield jnp.asarray(block.reshape(-1, CHUNK, f + 1))


def _padded(n: int) -> int:
    """Whole chunks, in few enough sizes that compiled programs serve again."""
    chunks = -(-n // CHUNK)
    step = max(1, 2 ** (chunks.bit_length() - 4))
    return -(-chunks // step) * step * CHUNK


class _Rows:
    """Feature blocks, kept on the device where there is only one."""

    def __init__(self, features: np.ndarray, block_rows: int):
        self._features, self._block_rows = features, block_rows
        fits = len(features) <= block_rows
        self._kept = list(feature_blocks(features, block_rows)) if fits else None

    def __iter__(self) -> Iterator[Float[Array, "c b f"]]:
        return iter(self._kept or feature_blocks(self._features, self._block_rows))


def run_campaign(
    statistics: Statistics,
    n_classes: int,
    seeds: Sequence[int],
    options: CampaignOptions = DEFAULTS,
    initial: Float[np.ndarray, "r k q"] | None = None,
) -> Campaign:
    """Fit a mixture of `n_classes` volumes of the subspace from every seed.

    A seed's numbers do not depend on the others: runs go through products of fixed width. Of many
    particles, every so-manieth converges first, from where all of them need few iterations.

    Args:
        statistics: of the particles.
        n_classes: classes of each run.
        seeds: of the random labels whose averages are the starts.
        options: convergence and sizes.
        initial: starting coordinates of each run instead of random labels.

    Raises:
        ValueError: where there are more classes than particles, or no seed.
    """
    if not 1 <= n_classes <= statistics.n or not len(seeds):
        raise ValueError(
            f"n_classes: found {n_classes} with {len(seeds)} seeds and {statistics.n} particles,"
            " expected 1 … the number of particles and at least one seed"
        )
    weights, before = None, 0
    step = statistics.n // options.first_particles
    if initial is None and step > 1:
        first = run_campaign(statistics.take(slice(None, None, step)), n_classes, seeds, options)
        initial, weights, before = first.coordinates, first.class_weights, first.iterations
        options = replace(options, min_iterations=1)
    runs = _Runs(statistics, n_classes, seeds, options, initial, weights)
    for iteration in range(1, options.max_iterations + 1):
        if runs.converged.all():
            break
        runs.iterate(iteration)
    found = runs.result()
    return replace(found, iterations=found.iterations + before)


class _Runs:
    """All runs of a campaign; those that have converged leave the products."""

    def __init__(self, statistics, n_classes, seeds, options, initial, weights):
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
            z, _ = _solve(_accumulate_labels(rows, keys, self.k), self.q)
            self.z[own] = np.asarray(z)

    def _tiles(self, active: np.ndarray) -> list[np.ndarray]:
        """Runs in groups of one width; the last is filled up with copies."""
        padded = np.resize(active, -(-len(active) // self.width) * self.width)
        padded[len(active) :] = active[-1]
        return list(padded.reshape(-1, self.width))

    def iterate(self, iteration: int) -> None:
        """One E- and M-step of all runs that have not converged."""
        tiles = self._tiles(np.flatnonzero(~self.converged))
        totals: list = [None] * len(tiles)
        for block in self.rows:
            for i, own in enumerate(tiles):
                new = _accumulate(block, self.z[own], self.weights[own])
                old = totals[i]
                totals[i] = new if old is None else jax.tree.map(jnp.add, old, new)
        for own, (sums, evidence) in zip(tiles, totals):
            penalty = 0.5 * np.sum(self.z[own].astype(np.float64) ** 2, (1, 2))
            likelihood = np.asarray(evidence, np.float64) - penalty
            change = likelihood - self.likelihood[own]
            small = change < np.maximum(self.options.tolerance * np.abs(likelihood), 1e-3)
            self.likelihood[own], self.iterations[own] = likelihood, iteration
            z, weights = _solve(sums, self.q)
            self.z[own], self.weights[own] = np.asarray(z), np.asarray(weights)
            self.converged[own] = small & (iteration > self.options.min_iterations)

    def result(self) -> Campaign:
        """Runs with their classes in order of size."""
        order = np.argsort(-self.weights, axis=1, kind="stable")
        return Campaign(
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


def assign(
    statistics: Statistics,
    coordinates: Float[np.ndarray, "r k q"],
    class_weights: Float[np.ndarray, "r k"],
) -> Int[np.ndarray, "n r"]:
    """Most probable class (0-based) of each particle in each run."""
    labels = np.zeros((statistics.n, len(coordinates)), np.int16)
    for rows, scores in _score_chunks(statistics, coordinates, class_weights):
        labels[rows] = np.asarray(jnp.argmax(scores, -1))
    return labels


def posteriors_and_gain(
    statistics: Statistics,
    coordinates: Float[np.ndarray, "k q"],
    class_weights: Float[np.ndarray, " k"],
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Posteriors of one run, and each particle's log-likelihood gain over the mean map."""
    posteriors = np.zeros((statistics.n, len(coordinates)), np.float32)
    gain = np.zeros(statistics.n)
    for rows, scores in _score_chunks(statistics, coordinates[None], class_weights[None]):
        posteriors[rows] = np.asarray(jax.nn.softmax(scores[:, 0], -1))
        gain[rows] = np.asarray(jax.nn.logsumexp(scores[:, 0], -1))
    return posteriors, gain


def _score_chunks(statistics: Statistics, coordinates, class_weights):
    features = statistics.features
    theta = class_columns(
        jnp.asarray(coordinates, features.dtype), jnp.asarray(class_weights, features.dtype)
    )
    size = max(256, min(65_536, 8_000_000 // theta[..., 0].size))
    for start in range(0, statistics.n, size):
        part = np.asarray(features[start : start + size])
        phi = np.concatenate([part, np.ones((len(part), 1), part.dtype)], 1)
        if len(part) < size < statistics.n:
            phi = np.pad(phi, ((0, size - len(part)), (0, 0)))
        yield slice(start, start + len(part)), _scores(jnp.asarray(phi), theta)[: len(part)]
