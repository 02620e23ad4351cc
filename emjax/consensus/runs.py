"""The runs of a campaign, side by side: labels, posteriors, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from emjax.consensus.intersections import Intersections, count_classes
from emjax.consensus.latent import Votes, tabulate_labels

MIN_WEIGHT = 1e-3


@dataclass(frozen=True)
class Runs:
    """The runs in canonical order, whatever order they were given in.

    Attributes:
        weights: how much a run counts, 1 for a full vote.
        counted_with: the run that stands for each run; its own index where it stands for itself.
    """

    names: list[str]
    labels: Int[np.ndarray, "n r"]
    posteriors: list[np.ndarray | None]
    n_classes: Int[np.ndarray, " r"]
    weights: Float[np.ndarray, " r"]
    counted_with: Int[np.ndarray, " r"]

    @property
    def soft(self) -> bool:
        """Whether any run gave posteriors."""
        return any(table is not None for table in self.posteriors)

    @property
    def assigned(self) -> Bool[np.ndarray, " n"]:
        """Whether any run gave the particle a class."""
        return np.any(self.labels >= 0, axis=1)

    def select(self, rows: Int[np.ndarray, " m"]) -> Runs:
        """The same runs over some of the particles."""
        if len(rows) == len(self.labels):
            return self
        tables = [None if table is None else table[rows] for table in self.posteriors]
        return replace(self, labels=np.ascontiguousarray(self.labels[rows]), posteriors=tables)

    def independent(self) -> Runs:
        """The runs that stand for themselves."""
        own = np.flatnonzero(self.counted_with == np.arange(len(self.names)))
        return Runs(
            [self.names[s] for s in own],
            np.ascontiguousarray(self.labels[:, own]),
            [self.posteriors[s] for s in own],
            self.n_classes[own],
            self.weights[own],
            np.arange(len(own)),
        )

    def describe_repeats(self) -> str:
        """Which runs are no replications, in a sentence; empty where all are."""
        repeats = np.flatnonzero(self.counted_with != np.arange(len(self.names)))
        if not len(repeats):
            return ""
        parts = []
        for first in np.unique(self.counted_with[repeats]):
            names = [self.names[s] for s in repeats if self.counted_with[s] == first]
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            parts.append(f"{listed} with {self.names[first]}")
        verb = "counts" if len(repeats) == 1 else "count"
        return f" No replication, hence one run: {'; '.join(parts)} {verb} once."


def order_runs(
    labels: Int[np.ndarray, "n r"],
    run_names: Sequence[str],
    posteriors: Sequence[Float[np.ndarray, "_ _"] | None] | None = None,
    log_likelihood: Float[np.ndarray, " r"] | None = None,
    run_groups: Sequence[str] | None = None,
    starts: Sequence[str] | None = None,
) -> Runs:
    """Check the runs against each other, weigh them, and sort them by name.

    Args:
        labels: class of every particle in every run, from 0; -1 unassigned.
        run_names: of every run, all different.
        posteriors: of the classes, None where there are only labels.
        log_likelihood: mean per particle of every run, NaN where unknown.
        run_groups: within which likelihoods are compared.
        starts: runs with the same one cannot end differently and count once.
    """
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
    if (labels < 0).all():
        raise ValueError(
            f"labels: no run assigned any of {len(labels)} particles; at least one expected"
        )
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
    given_starts = list(starts) if starts is not None else names
    keys = [given_starts[s] for s in order]
    ordered = np.ascontiguousarray(labels[:, order])
    tables = [given[s] for s in order]
    return Runs(
        [names[s] for s in order],
        ordered,
        tables,
        np.maximum(n_classes[order], 1),
        weights[order],
        count_once(ordered, tables, keys, weights[order]),
    )


def count_once(
    labels: Int[np.ndarray, "n r"],
    posteriors: Sequence[np.ndarray | None],
    starts: Sequence[str],
    weights: Float[np.ndarray, " r"],
) -> Int[np.ndarray, " r"]:
    """The run that stands for every run: the best of those with one start, or with equal results.

    Results are equal where the labels are, whatever the order of the classes, and the posteriors
    to the last bit: runs that only agree well differ in some.
    """
    sizes = [np.sort(np.bincount(column + 1)[1:]) for column in labels.T]
    own = [_own_posterior(c, table) for c, table in zip(labels.T, posteriors, strict=True)]

    def repeats(s: int, t: int) -> bool:
        if starts[s] == starts[t]:
            return True
        if not np.array_equal(np.trim_zeros(sizes[s]), np.trim_zeros(sizes[t])):
            return False
        one, other = own[s], own[t]
        same = one is None or other is None or np.array_equal(one, other)
        return same and _same_classes(labels[:, s], labels[:, t])

    groups: list[list[int]] = []
    for s in range(labels.shape[1]):
        for group in groups:
            if repeats(group[0], s):
                group.append(s)
                break
        else:
            groups.append([s])
    stands = np.arange(labels.shape[1])
    for group in groups:
        stands[group] = max(group, key=lambda s: (weights[s], -s))
    return stands


def _same_classes(one: Int[np.ndarray, " n"], other: Int[np.ndarray, " n"]) -> bool:
    """Whether two runs have the same classes but for their numbers."""
    width = int(other.max(initial=-1)) + 2
    pairs = np.bincount((one.astype(np.int64) + 1) * width + other + 1)
    table = np.pad(pairs, (0, -len(pairs) % width)).reshape(-1, width) > 0
    # The unassigned of one must be those of the other.
    apart = not (table[0, 1:].any() or table[1:, 0].any())
    return bool(apart and table.sum() == table.any(axis=1).sum() == table.any(axis=0).sum())


def _own_posterior(labels: np.ndarray, table: np.ndarray | None) -> np.ndarray | None:
    """Posterior of every particle's own class."""
    if table is None:
        return None
    own = np.take_along_axis(table, np.maximum(labels, 0)[:, None], axis=1)[:, 0]
    return np.where(labels >= 0, own, 0.0)


def weigh_runs(
    log_likelihood: Float[np.ndarray, " r"], run_groups: Sequence[str]
) -> Float[np.ndarray, " r"]:
    """Weight of every run: how much less probable it makes a particle than the best of its group.

    exp(-Δ) for Δ nats per particle, the particles' mean likelihood ratio. The scale is absolute:
    runs of one quality weigh the same, however small their spread, and one that confuses two
    states that images tell apart at a glance (Δ of a nat and more) hardly counts.
    """
    weights = np.ones(len(log_likelihood))
    for group in set(run_groups):
        rows = np.flatnonzero(np.asarray(run_groups) == group)
        rows = rows[np.isfinite(log_likelihood[rows])]
        if len(rows):
            weights[rows] = np.exp(log_likelihood[rows] - log_likelihood[rows].max())
    # A run of no weight at all would still be counted where runs are counted.
    return np.maximum(weights, MIN_WEIGHT)


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


def sample_votes(
    runs: Runs,
    crossed: Intersections,
    limit: int,
    rng: np.random.Generator,
    kept: Bool[np.ndarray, " m"] | None = None,
) -> Votes:
    """Votes of at most `limit` particles; equal labels without posteriors share a row.

    Args:
        runs: labels, posteriors and weights.
        crossed: their intersections.
        limit: particles drawn.
        rng: of the draw.
        kept: intersections to draw from; all where None.
    """
    inside = crossed.of_particle >= 0
    if kept is not None:
        inside &= np.append(kept, False)[crossed.of_particle]
    rows = np.flatnonzero(inside)
    if len(rows) > limit:
        rows = np.sort(rng.choice(rows, limit, replace=False))
    if runs.soft:
        return gather_votes(runs, rows)
    found, counts = np.unique(crossed.of_particle[rows], return_counts=True)
    return tabulate_labels(crossed.patterns[found], counts, runs.n_classes, runs.weights)
