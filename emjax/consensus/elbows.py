"""Elbows of the cost curve: how many classes the heights of the merges suggest."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float


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


ELBOWS = tuple(field.name for field in fields(Elbows))


def cost_curve(merges: Float[np.ndarray, "merges 4"]) -> Float[np.ndarray, " merges"]:
    """Cost of merging from k + 1 to k classes, for k = 1, 2, ..."""
    return merges[::-1, 2].copy()


def _unit_axes(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both axes from 0 to 1 between the ends; costs inside may lie beyond, as heights may fall."""
    drop = costs[0] - costs[-1]
    return np.linspace(0.0, 1.0, len(costs)), (costs - costs[-1]) / (drop if drop else 1.0)


def _least(scores: np.ndarray) -> int:
    """Index of the smallest, the last of equals: merging goes from many classes to few."""
    return len(scores) - 1 - int(np.argmin(scores[::-1]))


def profile_likelihood(costs: Float[np.ndarray, " k"]) -> int:
    """Split of the curve into two Gaussian groups of two costs or more with most likelihood.

    Each group has a spread of its own, as in Xmipp; two equal costs are infinitely likely, so a
    curve that begins with equal costs is split there.

    Source: Zhu and Ghodsi 2006, Computational Statistics & Data Analysis 51, 918 (one spread).
    """
    if len(costs) < 4 or np.ptp(costs) == 0:
        return 1
    splits = range(2, len(costs) - 1)
    spread = np.asarray([[np.std(costs[:q]), np.std(costs[q:])] for q in splits])
    size = np.asarray([[q, len(costs) - q] for q in splits])
    with np.errstate(divide="ignore"):
        return _least((size * np.log(spread)).sum(axis=1)) + 2


def origin(costs: Float[np.ndarray, " k"]) -> int:
    """Point of the curve nearest to the origin, both axes from least to greatest scaled to 0..1."""
    if len(costs) < 2 or np.ptp(costs) == 0:
        return 1
    height = (costs - costs.min()) / np.ptp(costs)
    return _least(np.hypot(np.linspace(0.0, 1.0, len(costs)), height)) + 1


def distance_line(costs: Float[np.ndarray, " k"]) -> int:
    """Point farthest from the line through the two ends of the curve."""
    if len(costs) < 2 or np.ptp(costs) == 0:
        return 1
    x, y = _unit_axes(costs)
    return _least(-np.abs(y - y[0] - x * (y[-1] - y[0]))) + 1


def slope(costs: Float[np.ndarray, " k"]) -> int:
    """Point after which the curve on unit axes falls with a slope nearest to -1."""
    if len(costs) < 2 or np.ptp(costs) == 0:
        return 1
    x, y = _unit_axes(costs)
    return _least(np.abs(np.diff(y) / np.diff(x) + 1.0)) + 1


def angle(costs: Float[np.ndarray, " k"]) -> int:
    """Point where the curve on unit axes bends most sharply."""
    if len(costs) < 3 or np.ptp(costs) == 0:
        return 1
    x, y = _unit_axes(costs)
    before = np.arctan2(np.diff(y)[:-1], np.diff(x)[:-1])
    after = np.arctan2(np.diff(y)[1:], np.diff(x)[1:])
    return int(np.argmax(after - before)) + 2


def find_elbows(
    merges: Float[np.ndarray, "merges 4"], coss_merges: Float[np.ndarray, "merges 4"]
) -> Elbows:
    """Number of classes by every rule; 1 where the curve is too short or flat to bend."""
    costs, coss = cost_curve(merges), cost_curve(coss_merges)
    return Elbows(
        profile_likelihood=profile_likelihood(costs),
        origin=origin(costs),
        distance_line=distance_line(costs),
        slope=slope(costs),
        coss_angle=angle(coss),
        coss_profile_likelihood=profile_likelihood(coss),
    )
