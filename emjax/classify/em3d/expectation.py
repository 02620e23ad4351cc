"""E-step of all runs, block by block, each block inserted at once with its posteriors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from emjax.classify.em3d.state import RunState
from emjax.classify.operators.accumulator import Accumulator, Sums
from emjax.classify.operators.backend import Block, LaneSums, Tables
from emjax.classify.operators.lanes import in_lanes
from emjax.classify.operators.layout import BlockRows
from emjax.classify.operators.passes import Engine
from emjax.imaging.maps import slicing_values


@dataclass
class Tally:
    """What one pass over the data gathers for one run."""

    start: int  # first column of the run
    labels: Int[np.ndarray, " n"]
    mass: Float[np.ndarray, " k"]
    posteriors: Float[np.ndarray, "n k"] | None = None
    log_likelihood: float = 0.0
    ess: Int[np.ndarray, " 10"] = field(default_factory=lambda: np.zeros(10, int))


def posteriors_of(
    log_likelihood: Float[np.ndarray, "b k"],
    class_weights: Float[np.ndarray, " k"],
    similarity: float | np.floating,
) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, " b"]]:
    """p_ik ∝ π_k exp((1−β)ℓ_ik), and log Σ_k π_k exp ℓ_ik of each particle.

    Args:
        log_likelihood: ℓ_ik.
        class_weights: π_k.
        similarity: β, 0 for the posterior as it is, 1 for all classes equally.
    """
    log_weights = np.log(np.maximum(class_weights, 1e-12))
    tempered = (1 - np.float32(similarity)) * log_likelihood + log_weights
    posteriors = np.exp(tempered - _log_sum(tempered)[:, None])
    return posteriors, _log_sum(log_likelihood + log_weights)


def _log_sum(values: Float[np.ndarray, "b k"]) -> Float[np.ndarray, " b"]:
    largest = values.max(1)
    return largest + np.log(np.exp(values - largest[:, None]).sum(1))


def effective_sample_size(posteriors: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """1 / Σ_k p_ik²: 1 for a particle sure of its class, K for one that fits all equally well."""
    return 1 / np.maximum((posteriors**2).sum(1), 1e-12)


def sweep(
    engine: Engine[Block, Tables, LaneSums],
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
    ends = np.cumsum([s.run.n_classes for s in states])
    own = [slice(int(e) - s.run.n_classes, int(e)) for s, e in zip(states, ends, strict=True)]
    # One volume at a time, so that other numbers of classes do not compile anew.
    values = [np.asarray(slicing_values(v, grid)) for s in states for v in s.volumes]
    tables = engine.tables(values)
    tallies = [
        Tally(
            part.start,
            np.full(n, -1, np.int32),
            np.zeros(s.run.n_classes),
            np.zeros((n, s.run.n_classes), np.float32) if keep_posteriors else None,
        )
        for s, part in zip(states, own, strict=True)
    ]
    accumulator = Accumulator(engine, int(ends[-1]))

    def work(rows: BlockRows, block: Block) -> list[tuple[np.ndarray, np.ndarray]]:
        ell = engine.log_likelihoods(rows, block, tables)
        found = [
            _posteriors(state, ell[:, part], len(rows.rows), similarity, hard)
            for state, part in zip(states, own, strict=True)
        ]
        accumulator.add(rows, block, np.concatenate([p for p, _ in found], 1))
        return found

    for rows, found in in_lanes(work, blocks):
        for tally, (p, evidence) in zip(tallies, found, strict=True):
            _count(tally, p, evidence, rows.rows)
    return accumulator.sums(), tallies


def _posteriors(
    state: RunState, ell: Float[np.ndarray, "b k"], m: int, similarity: float, hard: bool
) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, " b"]]:
    """Posteriors of one block for one run, zero beyond its m particles, and the evidence."""
    p, evidence = posteriors_of(ell, state.class_weights, similarity)
    if hard:
        p = np.eye(p.shape[1], dtype=np.float32)[p.argmax(1)]
    p[m:] = 0
    return p, evidence


def _count(
    tally: Tally,
    p: Float[np.ndarray, "b k"],
    evidence: Float[np.ndarray, " b"],
    rows: Int[np.ndarray, " m"],
) -> None:
    """Add a block's posteriors to the tallies of a run."""
    p = p[: len(rows)]
    if len(wrong := np.flatnonzero(~np.isfinite(evidence[: len(rows)]))):
        raise FloatingPointError(
            f"particle {rows[wrong[0]] + 1}: found a likelihood that is no number, expected finite"
            " pixels, pose and CTF"
        )
    tally.labels[rows] = p.argmax(1)
    tally.log_likelihood += float(np.sum(evidence[: len(rows)], dtype=np.float64))
    tally.mass += p.sum(0, dtype=np.float64)
    tenths = 10 * (effective_sample_size(p) - 1) / (max(p.shape[1], 2) - 1)
    tally.ess += np.bincount(np.clip(tenths, 0, 9).astype(int), minlength=10)
    if tally.posteriors is not None:
        tally.posteriors[rows] = p


def insert_columns(
    engine: Engine[Block, Tables, LaneSums],
    columns: Float[np.ndarray, "n c"] | Bool[np.ndarray, "n c"],
) -> Sums:
    """Sums of all particles with given weights, one column per map."""
    accumulator = Accumulator(engine, columns.shape[1])

    def work(rows: BlockRows, block: Block) -> None:
        padded = np.zeros((engine.layout.block_size, columns.shape[1]), np.float32)
        padded[: len(rows.rows)] = columns[rows.rows]
        accumulator.add(rows, block, padded)

    for _ in in_lanes(work, engine.blocks()):
        pass
    return accumulator.sums()
