"""Elbows of the cost curve: how many classes the heights of the merges suggest."""

from __future__ import annotations

from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from emjax.consensus.em import bucket


@dataclass(frozen=True)
class Elbows:
    """Number of classes by each rule."""

    profile_likelihood: int
    origin: int
    distance_line: int
    slope: int
    coss_angle: int
    coss_profile_likelihood: int

    def of(self, rule: str) -> int:
        """The number of a rule by its name."""
        return getattr(self, rule)


_ON_LINE = 1e-12  # below rounding a point is on the line
ELBOWS = tuple(field.name for field in fields(Elbows))


def cost_curve(merges: Float[np.ndarray, "merges 4"]) -> Float[np.ndarray, " merges"]:
    """Cost of merging from k + 1 to k classes, for k = 1, 2, ..."""
    return merges[::-1, 2].copy()


def _least(scores: Float[Array, " k"]) -> Int[Array, ""]:
    """Index of the smallest, the last of equals: merging goes from many classes to few."""
    return len(scores) - 1 - jnp.argmin(scores[::-1])


def profile_likelihood(costs: Float[Array, " k"], n: Int[Array, ""]) -> Int[Array, ""]:
    """Split of the curve into two Gaussian groups of two costs or more with most likelihood.

    Each group has a spread of its own, as in Xmipp; two equal costs are infinitely likely, so a
    curve that begins with equal costs is split there.

    Source: Zhu and Ghodsi 2006, Computational Statistics & Data Analysis 51, 918 (one spread).
    """
    k = jnp.arange(len(costs))

    def score(split: Int[Array, ""]) -> Float[Array, ""]:
        def part(inside: Bool[Array, " k"]) -> Float[Array, ""]:
            size = jnp.maximum(inside.sum(), 1)
            mean = jnp.where(inside, costs, 0).sum() / size
            spread = jnp.sqrt(jnp.where(inside, (costs - mean) ** 2, 0).sum() / size)
            return size * jnp.log(spread)

        return part(k < split) + part((k >= split) & (k < n))

    allowed = (k >= 2) & (k < n - 1)
    return jnp.where(n < 4, 1, _least(jnp.where(allowed, jax.vmap(score)(k), jnp.inf)))


def origin(costs: Float[Array, " k"], n: Int[Array, ""]) -> Int[Array, ""]:
    """Point of the curve nearest to the origin, both axes from least to greatest scaled to 0..1."""
    inside = jnp.arange(len(costs)) < n
    least = jnp.where(inside, costs, jnp.inf).min()
    height = (costs - least) / (jnp.where(inside, costs, -jnp.inf).max() - least)
    x, _ = _unit_axes(costs, n)
    return _least(jnp.where(inside, jnp.hypot(x, height), jnp.inf)) + 1


def _unit_axes(costs: Array, n: Array) -> tuple[Array, Array]:
    """Both axes from 0 to 1 between the ends; costs inside may lie beyond, as heights may fall."""
    drop = costs[0] - costs[n - 1]
    x = jnp.arange(len(costs)) / jnp.maximum(n - 1, 1)
    return x, (costs - costs[n - 1]) / jnp.where(drop == 0, 1.0, drop)


def distance_line(costs: Float[Array, " k"], n: Int[Array, ""]) -> Int[Array, ""]:
    """Point farthest from the line through the two ends of the curve."""
    x, y = _unit_axes(costs, n)
    apart = jnp.abs(y - y[0] - x * (y[n - 1] - y[0]))
    apart = jnp.where(apart < _ON_LINE, 0, apart)
    return _least(jnp.where(jnp.arange(len(costs)) < n, -apart, jnp.inf)) + 1


def slope(costs: Float[Array, " k"], n: Int[Array, ""]) -> Int[Array, ""]:
    """Point after which the curve on unit axes falls with a slope nearest to -1."""
    x, y = _unit_axes(costs, n)
    steepness = jnp.abs(jnp.diff(y) / jnp.diff(x) + 1.0)
    return _least(jnp.where(jnp.arange(len(costs) - 1) < n - 1, steepness, jnp.inf)) + 1


def angle(costs: Float[Array, " k"], n: Int[Array, ""]) -> Int[Array, ""]:
    """Point where the curve on unit axes bends most sharply."""
    x, y = _unit_axes(costs, n)
    direction = jnp.arctan2(jnp.diff(y), jnp.diff(x))
    bend = jnp.where(jnp.arange(len(costs) - 2) < n - 2, jnp.diff(direction), -jnp.inf)
    return jnp.where(n < 3, 1, jnp.argmax(bend) + 2)


_RULES = (profile_likelihood, origin, distance_line, slope, angle)


@jax.jit
def _apply(costs: Float[Array, " k"], n: Int[Array, ""]) -> tuple[Int[Array, ""], ...]:
    """Numbers by all rules; 1 where the curve is too short or flat to bend."""
    inside = jnp.arange(len(costs)) < n
    flat = jnp.where(inside, costs == costs[0], True).all()
    return tuple(jnp.where((n < 2) | flat, 1, rule(costs, n)) for rule in _RULES)


def find_elbows(
    merges: Float[np.ndarray, "merges 4"], coss_merges: Float[np.ndarray, "merges 4"]
) -> Elbows:
    """Number of classes by every rule; 1 where the curve is too short or flat to bend."""
    found = []
    for costs in (cost_curve(merges), cost_curve(coss_merges)):
        n = len(costs)
        with jax.enable_x64(True):
            padded = np.pad(costs, (0, bucket(n, 32, 4) - n))
            found.append([int(number) for number in _apply(padded, max(n, 1))])
    ours, coss = (dict(zip([r.__name__ for r in _RULES], f, strict=True)) for f in found)
    return Elbows(
        ours["profile_likelihood"],
        ours["origin"],
        ours["distance_line"],
        ours["slope"],
        coss["angle"],
        coss["profile_likelihood"],
    )
