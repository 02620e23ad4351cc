"""Classes found by any runs, settled in the subspace and judged by held-out particles.

Whatever found them, classes are means in the basis of the particles' variability. A few iterations
from there give every particle's final posterior. Whether two of them differ is asked of particles
that had no part: each fold's are described in the basis fitted without them, half of them learn the
classes, the others score the two apart and joined. The runs have seen all particles, but what their
labels hold of the scoring particles' noise lies outside a basis of few volumes fitted to others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from emjax.classify.evidence import Interval, block_interval, least_gain
from emjax.classify.subspace.folds import Fold, Quarter, quarter_statistics
from emjax.classify.subspace.mixture import FitOptions, fit_seeds, posteriors_and_gain
from emjax.classify.subspace.optima import information
from emjax.classify.subspace.statistics import Statistics

_COMPARED = 3  # classes nearest to each one that it is compared with
_FRAGMENT = 0.1  # of a class's size: it is compared with none that are smaller
ITSELF = 0.4  # Jaccard index with what it settles to, above which a class stayed itself
_LEARNING = FitOptions(max_iterations=30)
_CHUNK = 65_536


@dataclass(frozen=True)
class HeldOut:
    """Particles in a basis that was fitted without their own fold.

    Attributes:
        statistics: of n particles, each in its fold's basis.
        fold: of each particle.
        n_components: that held-out particles confirmed.
        blocks: micrograph of each particle, which stays whole.
    """

    statistics: Statistics
    fold: Int[np.ndarray, " n"]
    n_components: int
    blocks: Shaped[np.ndarray, " n"] | None = None

    def select(self, rows: Int[np.ndarray, " m"]) -> "HeldOut":
        """Some of the particles."""
        fold = self.fold[rows]
        blocks = None if self.blocks is None else self.blocks[rows]
        if blocks is not None and any(len(set(blocks[fold == f])) < 2 for f in set(fold)):
            blocks = None
        return HeldOut(self.statistics.take(rows), fold, self.n_components, blocks)

    @cached_property
    def quarters(self) -> list[Quarter]:
        """Each half of a fold, once to learn classes and once to score them."""
        folds = [Fold(self.statistics, self.fold == fold) for fold in np.unique(self.fold)]
        found = [part for fold in folds for part in quarter_statistics(fold, self.blocks)]
        return [part.leading(self.n_components) for part in found]


@dataclass(frozen=True)
class Distinct:
    """Held-out evidence that a class differs from the one most like it."""

    nearest: int
    gain: Interval  # log-likelihood of held-out particles over the two joined
    distinct: bool


def class_coordinates(
    statistics: Statistics, posteriors: Float[np.ndarray, "n k"]
) -> tuple[Float[np.ndarray, "k q"], Float[np.ndarray, " k"]]:
    """Mean coordinates (Σ r G + I)⁻¹ Σ r g and share of each class."""
    q, k = statistics.n_components, posteriors.shape[1]
    linear, quadratic = np.zeros((k, q)), np.tile(np.eye(q), (k, 1, 1))
    for start in range(0, statistics.n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        part, own = statistics.take(rows), np.asarray(posteriors[rows], np.float64)
        linear += own.T @ part.linear()
        quadratic += np.einsum("nk,nij->kij", own, part.quadratic(), optimize=True)
    shares = np.asarray(posteriors.sum(0, dtype=np.float64))
    shares /= max(shares.sum(), 1e-12)
    return np.linalg.solve(quadratic, linear[..., None])[..., 0], shares


def settle_classes(
    statistics: Statistics,
    posteriors: Float[np.ndarray, "n k"],
    options: FitOptions = _LEARNING,
) -> tuple[Float[np.ndarray, "k q"], Float[np.ndarray, " k"]]:
    """Coordinates and shares after iterations from given classes, in their order.

    Args:
        statistics: of the particles.
        posteriors: of the classes to start from; particles with none (zeros) join in later.
        options: how many iterations.
    """
    z, shares = class_coordinates(statistics, posteriors)
    dtype = statistics.features.dtype
    start, weights = z[None].astype(dtype), shares[None].astype(dtype)
    found = fit_seeds(statistics, len(z), [0], options, start, weights, keep_order=True)
    return found.coordinates[0], found.class_weights[0]


def shared_members(
    before: Float[np.ndarray, "n k"], after: Float[np.ndarray, "n k"]
) -> Int[np.ndarray, "k k"]:
    """Particles by their classes before and after settling; without those of none before."""
    k, inside = before.shape[1], before.any(1)
    old, new = before[inside].argmax(1), after[inside].argmax(1)
    return np.bincount(old * k + new, minlength=k * k).reshape(k, k)


def stayed(shared: Int[np.ndarray, "k k"]) -> Bool[np.ndarray, " k"]:
    """Which classes are still themselves."""
    union = shared.sum(0) + shared.sum(1) - np.diag(shared)
    return np.diag(shared) > ITSELF * union


def compare_classes(held_out: HeldOut, posteriors: Float[np.ndarray, "n k"]) -> list[Distinct]:
    """For each class, what held-out particles lose where it is joined to the one most like it.

    A class that others learn as another one is not confirmed by what that one explains. A fragment
    that is like any class casts doubt on itself, not on these.

    Args:
        held_out: the particles.
        posteriors: of the classes; rows of zeros for particles of none.
    """
    k, n = posteriors.shape[1], held_out.statistics.n
    if k < 2:
        return []
    if not held_out.n_components:
        nothing = Interval(0.0, 0.0, 0.0)
        return [Distinct(int(c == 0), nothing, False) for c in range(k)]
    parts = held_out.quarters
    classes = [settle_classes(part.learning, posteriors[part.learns]) for part in parts]
    apart = [
        posteriors_and_gain(part.scoring, *own)[1] for part, own in zip(parts, classes, strict=True)
    ]
    labels = np.where(posteriors.any(1), posteriors.argmax(1), k)
    near = _nearest(parts, classes, np.bincount(labels, minlength=k + 1)[:k])
    shared = sum(
        shared_members(posteriors[part.learns], posteriors_and_gain(part.learning, *own)[0])
        for part, own in zip(parts, classes, strict=True)
    )
    same = stayed(np.asarray(shared))
    scored = np.any([part.scored for part in parts], axis=0)
    blocks = None if held_out.blocks is None else held_out.blocks[scored]
    found: dict[tuple[int, int], Interval] = {}
    for pair in {(min(c, d), max(c, d)) for c in range(k) for d in near[c]}:
        gain = np.zeros(n)
        for part, own, separate in zip(parts, classes, apart, strict=True):
            joined = posteriors_and_gain(part.scoring, *_joined(*own, pair))[1]
            gain[part.scored] = separate - joined
        found[pair] = block_interval(gain[scored], blocks)
    members = np.bincount(labels[scored], minlength=k + 1)[:k]
    judged = [_judge(c, near[c], found, members) for c in range(k)]
    return [replace(j, distinct=j.distinct and bool(s)) for j, s in zip(judged, same, strict=True)]


def _judge(
    c: int,
    candidates: list[int],
    gains: Mapping[tuple[int, int], Interval],
    members: Int[np.ndarray, " k"],
) -> Distinct:
    """A class beside the one that it loses least to."""
    pairs = {d: gains[min(c, d), max(c, d)] for d in candidates}
    near = min(pairs, key=lambda d: pairs[d].value)
    gain = pairs[near]
    enough = gain.value > least_gain(int(members[c] + members[near]))
    return Distinct(near, gain, bool(gain.low > 0 and enough))


def _joined(
    z: np.ndarray, shares: np.ndarray, pair: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The classes with two of them as one, at their common mean."""
    first, second = pair
    share = shares[first] + shares[second]
    joined, merged = np.delete(z, second, 0), np.delete(shares, second)
    joined[first] = (shares[first] * z[first] + shares[second] * z[second]) / max(share, 1e-12)
    merged[first] = share
    return joined, merged


def _nearest(
    parts: Sequence[Quarter],
    classes: Sequence[tuple[np.ndarray, np.ndarray]],
    sizes: Int[np.ndarray, " k"],
) -> list[list[int]]:
    """Classes that images tell apart least from each one; at least one."""
    k = len(classes[0][1])
    distance = np.zeros((k, k))
    for part, (z, _) in zip(parts, classes, strict=True):
        metric = information(part.scoring)
        step = z[:, None] - z[None]
        distance += np.einsum("cdq,qp,cdp->cd", step, metric, step)
    distance[sizes[None] < _FRAGMENT * sizes[:, None]] = np.inf
    distance[np.diag_indices(k)] = np.inf
    order = np.argsort(distance, axis=1, kind="stable")
    order = [[d for d in row.tolist() if d != c] for c, row in enumerate(order)]
    allowed = np.maximum(np.isfinite(distance).sum(1), 1)
    return [row[: min(_COMPARED, n)] for row, n in zip(order, allowed.tolist(), strict=True)]
