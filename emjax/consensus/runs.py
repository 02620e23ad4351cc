"""The runs of a campaign, side by side: labels, posteriors, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from emjax.consensus.intersections import Intersections, count_classes
from emjax.consensus.latent import Votes, tabulate_labels


@dataclass(frozen=True)
class Runs:
    """The runs in canonical order, whatever order they were given in.

    Attributes:
        weights: how much a run counts, 1 for a full vote.
    """

    names: list[str]
    labels: Int[np.ndarray, "n r"]
    posteriors: list[np.ndarray | None]
    n_classes: Int[np.ndarray, " r"]
    weights: Float[np.ndarray, " r"]

    @property
    def soft(self) -> bool:
        """Whether any run gave posteriors."""
        return any(table is not None for table in self.posteriors)


def order_runs(
    labels: Int[np.ndarray, "n r"],
    run_names: Sequence[str],
    posteriors: Sequence[Float[np.ndarray, "_ _"] | None] | None = None,
    log_likelihood: Float[np.ndarray, " r"] | None = None,
    run_groups: Sequence[str] | None = None,
) -> Runs:
    """Check the runs against each other, weigh them, and sort them by name."""
    labels = np.asarray(labels)
    names = [str(name) for name in run_names]
    if labels.ndim != 2 or labels.shape[1] != len(names) or not names:
        raise ValueError(
            f"labels: {labels.shape}; one column for each of {len(names)} runs expected"
        )
    if len(set(names)) < len(names):
        raise ValueError("run_names: a name occurs twice; all different expected")
    if not labels.size:
        raise ValueError("labels: no particles; at least one expected")
    order = np.asarray(sorted(range(len(names)), key=lambda s: names[s]))
    given = list(posteriors) if posteriors is not None else [None] * len(names)
    groups = list(run_groups) if run_groups is not None else names
    weights = weigh_runs(
        np.full(len(names), np.nan) if log_likelihood is None else np.asarray(log_likelihood),
        groups,
    )
    n_classes = count_classes(labels)
    for s, table in enumerate(given):
        if table is not None:
            if len(table) != len(labels) or table.shape[1] < n_classes[s]:
                raise ValueError(
                    f"posteriors of {names[s]}: {table.shape}; "
                    f"({len(labels)}, {n_classes[s]} or more) expected"
                )
            if not np.isfinite(table).all():
                raise ValueError(f"posteriors of {names[s]}: not all finite")
            n_classes[s] = table.shape[1]
    return Runs(
        [names[s] for s in order],
        np.ascontiguousarray(labels[:, order]),
        [given[s] for s in order],
        np.maximum(n_classes[order], 1),
        weights[order],
    )


def weigh_runs(
    log_likelihood: Float[np.ndarray, " r"], run_groups: Sequence[str]
) -> Float[np.ndarray, " r"]:
    """Weight of every run: 1 for the best of its group, exp(-Δ / sd) for one Δ below it.

    Likelihoods of runs of one method and class number are comparable; differences are hundreds
    of nats and would leave a single run, so they are measured by their own spread.
    """
    weights = np.ones(len(log_likelihood))
    for group in set(run_groups):
        rows = np.flatnonzero(np.asarray(run_groups) == group)
        rows = rows[np.isfinite(log_likelihood[rows])]
        spread = log_likelihood[rows].std() if len(rows) > 1 else 0.0
        if spread > 0:
            below = log_likelihood[rows].max() - log_likelihood[rows]
            weights[rows] = np.exp(-below / spread)
    return weights


def gather_votes(runs: Runs, rows: Int[np.ndarray, " m"]) -> Votes:
    """Votes of single particles, soft where the run gave posteriors."""
    votes = tabulate_labels(runs.labels[rows], np.ones(len(rows)), runs.n_classes, runs.weights)
    start = 0
    for s, k in enumerate(runs.n_classes):
        soft = runs.posteriors[s]
        if soft is not None:
            given = runs.labels[rows, s] >= 0
            votes.table[given, start : start + k] = soft[rows[given]]
        start += int(k)
    return votes


def sample_votes(runs: Runs, crossed: Intersections, limit: int, rng: np.random.Generator) -> Votes:
    """Votes of at most `limit` particles; equal labels without posteriors share a row."""
    rows = np.flatnonzero(crossed.of_particle >= 0)
    if len(rows) > limit:
        rows = np.sort(rng.choice(rows, limit, replace=False))
    if runs.soft:
        return gather_votes(runs, rows)
    found, counts = np.unique(crossed.of_particle[rows], return_counts=True)
    return tabulate_labels(crossed.patterns[found], counts, runs.n_classes, runs.weights)
