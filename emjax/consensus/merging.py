"""Groups that are merged pair by pair, on the device and in double precision.

Arrays are padded to few sizes, so that few are compiled; a group that is padding, or was merged
into another, is at infinite distance from all others.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy
from jaxtyping import Array, Bool, Float, Int

from emjax.consensus.em import bucket

METRICS = ("cosine", "euclidean", "cityblock", "correlation", "coss")
TIE = 1e-10
FEW = 8  # rows that are looked at by themselves; of more, all are


class Groups(NamedTuple):
    """Groups that are still apart, with all their distances.

    Attributes:
        counts: particles of every group in each input class.
        similarity: Jaccard index of every group with each input class.
        squares: sum of squares of each group's similarities.
        columns: 1 for an input class, 0 for padding.
        by_entropy: whether cosine distances are turned into the costs of COSS.
        nearest: least distance of every group.
    """

    counts: Float[Array, "m c"]
    sizes: Float[Array, " m"]
    class_sizes: Float[Array, " c"]
    columns: Float[Array, " c"]
    similarity: Float[Array, "m c"]
    squares: Float[Array, " m"]
    active: Bool[Array, " m"]
    by_entropy: Bool[Array, ""]
    distance: Float[Array, "m m"]
    nearest: Float[Array, " m"]


def begin(
    contingency: Int[np.ndarray, "m c"],
    sizes: Int[np.ndarray, " m"],
    class_sizes: Int[np.ndarray, " c"],
    metric: str,
) -> Groups:
    """Every group by itself."""
    m, c = contingency.shape
    rows, columns = bucket(m, 32, 4), bucket(c, 64)
    counts = np.zeros((rows, columns))
    counts[:m, :c] = contingency
    padded = [
        np.pad(v.astype(float), (0, n - len(v))) for v, n in ((sizes, rows), (class_sizes, columns))
    ]
    real = np.arange(columns) < c
    known = real.astype(float), np.arange(rows) < m, np.asarray(metric == "coss")
    return _measure_all(counts, *padded, *known, code_of(metric))


def code_of(metric: str) -> str:
    """The metric whose compiled code serves it."""
    return "cosine" if metric == "coss" else metric


@partial(jax.jit, static_argnames="metric")
def _measure_all(counts, sizes, class_sizes, columns, active, by_entropy, metric: str) -> Groups:
    similarity = _jaccard(counts, sizes[:, None], class_sizes)
    squares, empty = (similarity**2).sum(axis=1), jnp.full((len(sizes),) * 2, jnp.inf)
    own = counts, sizes, class_sizes, columns, similarity, squares, active, by_entropy
    groups = Groups(*own, empty, empty[0])
    distance = jax.lax.map(lambda i: _measure(groups, i, metric), jnp.arange(len(sizes)))
    # Rounding may differ by the order of the two.
    distance = jnp.minimum(distance, distance.T)
    return groups._replace(distance=distance, nearest=distance.min(axis=1))


def _jaccard(counts: Array, sizes: Array, class_sizes: Array) -> Array:
    union = sizes + class_sizes - counts
    return jnp.where(union > 0, counts / jnp.where(union > 0, union, 1.0), 0.0)


def _cosine(rows: Array, i: Array, squares: Array) -> Array:
    norm = jnp.sqrt(squares * squares[i])
    return 1.0 - jnp.where(norm > 0, rows @ rows[i] / jnp.where(norm > 0, norm, 1.0), 0.0)


def _measure(groups: Groups, i: Array, metric: str) -> Float[Array, " m"]:
    """Distance of a group to every other, infinite to itself and where nothing is left.

    The two trees of a consensus, by cosine and COSS, share their compiled code.
    """
    rows = groups.similarity
    if metric == "euclidean":
        found = jnp.sqrt(((rows - rows[i]) ** 2).sum(axis=1))
    elif metric == "cityblock":
        found = jnp.abs(rows - rows[i]).sum(axis=1)
    elif metric == "correlation":
        means = rows.sum(axis=1, keepdims=True) / groups.columns.sum()
        centred = (rows - means) * groups.columns
        found = _cosine(centred, i, (centred**2).sum(axis=1))
    else:
        found = _cosine(rows, i, groups.squares)
    if metric == "cosine":
        # How much entropy of the sizes a merge costs, per similarity.
        sizes = jnp.where(groups.active, groups.sizes, 0)
        total = jnp.maximum(sizes.sum(), 1.0)
        p, q = groups.sizes[i] / total, sizes / total
        loss = xlogy(p + q, p + q) - xlogy(p, p) - xlogy(q, q)
        # A small difference of large terms: below rounding it is a tie, not a negative cost.
        coss = jnp.maximum(loss, 0.0) / (1.0 - found + 0.01)
        found = jnp.where(groups.by_entropy, coss, found)
    other = groups.active & groups.active[i] & (jnp.arange(len(rows)) != i)
    return jnp.where(other, found, jnp.inf)


class Pair(NamedTuple):
    """The groups that are merged next, and those whose nearest one may be either of them."""

    first: Int[Array, ""]
    second: Int[Array, ""]
    height: Float[Array, ""]
    stale: Bool[Array, " m"]


@jax.jit
def closest(groups: Groups) -> Pair:
    """Nearest pair; equals by the size after the merge, then by the order of the groups."""
    least, m = groups.nearest.min() + TIE, len(groups.sizes)
    tied = groups.nearest <= least

    def first_of(rows: Int[Array, " t"]) -> tuple[Array, Array]:
        after = jnp.arange(m) > rows[:, None]
        near = after & (groups.distance[rows] <= least)
        sizes = jnp.where(near, groups.sizes[rows, None] + groups.sizes, jnp.inf)
        at, j = jnp.divmod(jnp.argmin(sizes), m)
        return rows[at], j

    few = jnp.nonzero(tied, size=FEW, fill_value=m - 1)[0]
    every = jnp.arange(m)
    i, j = jax.lax.cond(tied.sum() > FEW, lambda: first_of(every), lambda: first_of(few))
    return _pair(groups, i, j)


def _pair(groups: Groups, i: Array, j: Array) -> Pair:
    near = groups.distance[:, jnp.stack([i, j])] <= groups.nearest[:, None]
    return Pair(i, j, groups.distance[i, j], near.any(axis=1))


@partial(jax.jit, static_argnames="metric")
def merge_pair(groups: Groups, i: Array | int, j: Array | int, metric: str) -> Groups:
    """Put any group j into group i, as other programs merge them."""
    return merge(groups, _pair(groups, jnp.asarray(i), jnp.asarray(j)), code_of(metric))


def merge(groups: Groups, pair: Pair, metric: str) -> Groups:
    """Put the second group into the first, and measure that anew."""
    i, j, _, stale = pair
    counts, sizes = groups.counts.at[i].add(groups.counts[j]), groups.sizes
    sizes = sizes.at[i].add(sizes[j])
    similarity = _jaccard(counts[i], sizes[i], groups.class_sizes)
    groups = groups._replace(
        counts=counts,
        sizes=sizes,
        similarity=groups.similarity.at[i].set(similarity),
        squares=groups.squares.at[i].set((similarity**2).sum()),
        active=groups.active.at[j].set(False),
    )
    row = _measure(groups, i, metric)
    distance = groups.distance.at[j].set(jnp.inf).at[:, j].set(jnp.inf)
    distance = distance.at[i].set(row).at[:, i].set(row)
    nearest = jnp.minimum(groups.nearest, row).at[j].set(jnp.inf)
    stale = (stale & groups.active).at[i].set(True)
    few = jnp.nonzero(stale, size=FEW, fill_value=i)[0]
    nearest = jax.lax.cond(
        stale.sum() > FEW,
        lambda: distance.min(axis=1),
        lambda: nearest.at[few].set(distance[few].min(axis=1)),
    )
    return groups._replace(distance=distance, nearest=nearest)


@partial(jax.jit, static_argnames="metric")
def merge_all(groups: Groups, metric: str) -> tuple[Int[Array, "steps 2"], Float[Array, " steps"]]:
    """Pairs and heights of all merges, in their order; what follows the last one means nothing.

    A pass merges the pair that the one before chose: distances are then changed before they are
    read, and need no copy.
    """
    m = len(groups.sizes)

    def step(state: tuple[Array, Groups, Pair, Array, Array]):
        k, groups, pair, pairs, heights = state
        pairs = pairs.at[k].set(jnp.stack([pair.first, pair.second]))
        heights = heights.at[k].set(pair.height)
        groups = merge(groups, pair, metric)
        return k + 1, groups, closest(groups), pairs, heights

    def unfinished(state: tuple[Array, Groups, Pair, Array, Array]) -> Array:
        return jnp.isfinite(state[2].height)

    start = (jnp.asarray(0), groups, closest(groups), jnp.zeros((m, 2), int), jnp.zeros(m))
    *_, pairs, heights = jax.lax.while_loop(unfinished, step, start)
    return pairs, heights
