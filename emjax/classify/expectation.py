"""E-step of all runs, block by block, each block inserted at once with its posteriors."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.classify.engine import (
    Accumulator,
    Block,
    BlockRows,
    Engine,
    Sums,
    log_likelihoods,
    to_tiles,
)
from emjax.classify.runs import RunState, Tally
from emjax.imaging.prepare import slicing_values


@jax.jit
def posteriors_of(
    log_likelihood: Float[Array, "b k"],
    class_weights: Float[Array, " k"],
    similarity: Float[Array, ""],
) -> tuple[Float[Array, "b k"], Float[Array, " b"]]:
    """p_ik ∝ π_k exp((1−β)ℓ_ik), and log Σ_k π_k exp ℓ_ik of each particle.

    Args:
        log_likelihood: ℓ_ik.
        class_weights: π_k.
        similarity: β, 0 for the posterior as it is, 1 for all classes alike.
    """
    log_weights = jnp.log(jnp.maximum(class_weights, 1e-12))
    evidence = jax.nn.logsumexp(log_likelihood + log_weights, axis=1)
    tempered = (1 - similarity) * log_likelihood + log_weights
    return jax.nn.softmax(tempered, axis=1), evidence


def effective_sample_size(posteriors: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """1 / Σ_k p_ik²: 1 for a particle sure of its class, K for one that fits all alike."""
    return 1 / np.maximum((posteriors**2).sum(1), 1e-12)


def sweep(
    engine: Engine,
    blocks: Iterable[tuple[BlockRows, Block]],
    states: Sequence[RunState],
    similarity: float,
    hard: bool = False,
    keep_posteriors: bool = False,
) -> tuple[Sums, list[Tally]]:
    """One pass of some blocks for all runs: posteriors, and the sums of the M-step.

    Args:
        engine: whose blocks these are.
        blocks: all of them, or a mini-batch.
        states: of the runs.
        similarity: β.
        hard: each particle counts in its best class only.
        keep_posteriors: whether the tallies hold them.
    """
    n, grid = engine.particles.n, engine.grid
    widths = [s.run.n_classes for s in states]
    starts = np.concatenate([[0], np.cumsum(widths)])
    values = [slicing_values(jnp.asarray(s.volumes), grid) for s in states]
    tiles = to_tiles(jnp.concatenate(values))
    tallies = [
        Tally(
            int(start),
            np.full(n, -1, np.int32),
            np.zeros(k),
            np.zeros((n, k), np.float32) if keep_posteriors else None,
        )
        for k, start in zip(widths, starts, strict=False)
    ]
    accumulator = Accumulator(int(starts[-1]), grid.kxyz.shape[0])
    for rows, block in blocks:
        ell = np.concatenate([np.asarray(log_likelihoods(block, t)) for t in tiles], 1)
        columns = np.zeros((engine.block_size, starts[-1]), np.float32)
        for state, tally in zip(states, tallies, strict=True):
            own = slice(tally.start, tally.start + state.run.n_classes)
            columns[:, own] = _count(tally, state, ell[:, own], rows.rows, similarity, hard)
        accumulator.add(block, rows.half, columns)
    return accumulator.sums(grid), tallies


def _count(
    tally: Tally,
    state: RunState,
    ell: Float[np.ndarray, "b k"],
    rows: Int[np.ndarray, " m"],
    similarity: float,
    hard: bool,
) -> Float[np.ndarray, "b k"]:
    """Posteriors of one block for one run, with its tallies added up."""
    m = len(rows)
    p, evidence = posteriors_of(
        jnp.asarray(ell), jnp.asarray(state.class_weights), jnp.float32(similarity)
    )
    p = np.array(p)
    best = p.argmax(1)
    if hard:
        p = np.eye(p.shape[1], dtype=np.float32)[best]
    p[m:] = 0
    tally.labels[rows] = best[:m]
    tally.log_likelihood += float(np.sum(np.asarray(evidence)[:m], dtype=np.float64))
    tally.mass += p[:m].sum(0, dtype=np.float64)
    ess = effective_sample_size(p[:m])
    tally.ess += np.histogram(ess, bins=10, range=(1, max(p.shape[1], 2)))[0]
    if tally.posteriors is not None:
        tally.posteriors[rows] = p[:m]
    return p


def insert_columns(engine: Engine, columns: Float[np.ndarray, "n c"]) -> Sums:
    """Sums of all particles with given weights, one column a map."""
    accumulator = Accumulator(columns.shape[1], engine.grid.kxyz.shape[0])
    for rows, block in engine.blocks():
        padded = np.zeros((engine.block_size, columns.shape[1]), np.float32)
        padded[: len(rows.rows)] = columns[rows.rows]
        accumulator.add(block, rows.half, padded)
    return accumulator.sums(engine.grid)
