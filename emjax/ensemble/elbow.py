"""Elbows of the cost curve: how many classes the heights of the merges suggest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

ELBOWS = (
    "profile_likelihood",
    "origin",
    "distance_line",
    "slope",
    "coss_angle",
    "coss_profile_likelihood",
)


def cost_curve(merges: Float[np.ndarray, "merges 4"]) -> Float[np.ndarray, " merges"]:
    """Cost of merging from k + 1 to k classes, for k = 1, 2, ..."""
    return merges[::-1, 2].copy()


def _unit_axes(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0.0, 1.0, len(costs))
    span = np.ptp(costs)
    return x, (costs - costs.min()) / (span if span > 0 else 1.0)


def profile_likelihood(costs: Float[np.ndarray, " k"]) -> int:
    """Split of the curve into two Gaussian groups of common variance with most likelihood.

    Source: Zhu and Ghodsi 2006, Computational Statistics & Data Analysis 51, 918.
    """
    if len(costs) < 3 or np.ptp(costs) == 0:
        return 1
    scatter = [
        ((costs[:q] - costs[:q].mean()) ** 2).sum() + ((costs[q:] - costs[q:].mean()) ** 2).sum()
        for q in range(1, len(costs))
    ]
    return int(np.argmin(scatter)) + 1


def origin(costs: Float[np.ndarray, " k"]) -> int:
    """Point of the curve nearest to the origin, both axes scaled to 0..1."""
    if len(costs) < 2 or np.ptp(costs) == 0:
        return 1
    return int(np.argmin(np.hypot(*_unit_axes(costs)))) + 1


def distance_line(costs: Float[np.ndarray, " k"]) -> int:
    """Point farthest from the line through the two ends of the curve."""
    if len(costs) < 3 or np.ptp(costs) == 0:
        return 1
    x, y = _unit_axes(costs)
    return int(np.argmax(np.abs((y - y[0]) - x * (y[-1] - y[0])))) + 1


def slope(costs: Float[np.ndarray, " k"]) -> int:
    """Point after which the curve on unit axes falls with a slope nearest to -1."""
    if len(costs) < 3 or np.ptp(costs) == 0:
        return 1
    x, y = _unit_axes(costs)
    return int(np.argmin(np.abs(np.diff(y) / np.diff(x) + 1.0))) + 1


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
) -> dict[str, int]:
    """Number of classes by every rule; 1 where the curve is too short or flat to bend."""
    costs, coss = cost_curve(merges), cost_curve(coss_merges)
    return {
        "profile_likelihood": profile_likelihood(costs),
        "origin": origin(costs),
        "distance_line": distance_line(costs),
        "slope": slope(costs),
        "coss_angle": angle(coss),
        "coss_profile_likelihood": profile_likelihood(coss),
    }
