"""Held-out evidence for components and mixtures, states or a continuum cut in pieces.

A basis fitted on one fold is judged by the others; see `emjax.classify.evidence`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from emjax.classify.evidence import (
    NOTHING_FOUND,
    Choice,
    Interval,
    block_interval,
    choose_another,
    choose_number,
    least_gain,
    verdict,
)
from emjax.classify.operators.lanes import at_once
from emjax.classify.subspace.folds import Fold, Quarter, quarter_statistics
from emjax.classify.subspace.mixture import (
    DEFAULTS,
    FitOptions,
    fit_seeds,
    posteriors_and_gain,
)
from emjax.classify.subspace.statistics import Statistics

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of classes that are tried, in units of a continuum's pieces
CUT_WIDTH = 0.5


def component_gains(statistics: Statistics) -> Float[np.ndarray, "m n"]:
    """Log marginal likelihood of each particle with the first 0, 1 … q components, z ~ N(0, I)."""
    q, n = statistics.n_components, statistics.n
    gains = np.zeros((q + 1, n))
    for start in range(0, n, 65_536):
        rows = slice(start, min(start + 65_536, n))
        part = statistics.take(rows)
        linear, quadratic = part.linear().astype(np.float64), part.quadratic().astype(np.float64)
        factor = np.linalg.cholesky(quadratic + np.eye(q))
        # The factor of a leading block is the leading block of the factor.
        half = np.linalg.solve(factor, linear[..., None])[..., 0]
        log_diagonal = np.log(np.diagonal(factor, axis1=1, axis2=2))
        gains[1:, rows] = np.cumsum(0.5 * half**2 - log_diagonal, 1).T
    return gains


@dataclass(frozen=True)
class Spread:
    """How wide classes are, in units of the pieces of an evenly cut continuum."""

    width: float  # variance within classes over that of such pieces
    gain: Interval  # held-out log-likelihood over classes without any width
    continuum: bool  # whether the classes are as wide as where a continuum is cut


@dataclass(frozen=True)
class Evidence:
    """What held-out particles say about numbers of components and classes."""

    components: Choice
    classes: Choice
    per_class: tuple[Interval, ...]  # loss without each class, by size (one fit a quarter)
    spread: Spread | None  # None with one class
    log_likelihood: float  # of all held-out particles at the choice, baseline included

    @property
    def discrete_classes(self) -> int:
        """Number of states: 1 where a continuum was cut."""
        return 1 if self.spread and self.spread.continuum else self.classes.chosen

    @property
    def found(self) -> bool:
        """False: no discrete heterogeneity found."""
        return self.discrete_classes > 1

    @property
    def verdict(self) -> str:
        """The answer in words: states, a continuum, or nothing."""
        count = self.components.chosen
        if self.found:
            return verdict(self.classes)
        if not count:
            return NOTHING_FOUND
        parts = f"; {self.classes.chosen} classes cut it" if self.spread else ""
        components = f"{count} component{'s' * (count > 1)}"
        return f"{NOTHING_FOUND}, but continuous variability in {components}{parts}"


class _Mixture(NamedTuple):
    """Classes that a quarter has learned."""

    coordinates: Float[np.ndarray, "k q"]
    class_weights: Float[np.ndarray, " k"]


def held_out_evidence(
    folds: Sequence[Fold],
    n_classes: Sequence[int],
    blocks: Shaped[np.ndarray, " n"] | None = None,
    seeds: int = 40,
    options: FitOptions = DEFAULTS,
    *,
    all_components: bool = False,
) -> Evidence:
    """Judge components and classes by particles that the basis has not seen.

    Noise that a basis has taken up makes it too large for other particles, and a mixture fitted
    with the basis inherits that. So the held-out particles are split in two: one part learns the
    coordinates' variance and the classes in the foreign basis, the other scores them, and back.

    Args:
        folds: bases and their held-out particles, disjoint between folds.
        n_classes: candidates; 1 is added.
        blocks: micrograph of each particle.
        seeds: of each mixture.
        options: of the mixtures.
        all_components: try classes in every component too. A small state hardly widens a Gaussian
            over all particles, and shows only where classes have a place for it.
    """
    n, q = folds[0].statistics.n, folds[0].statistics.n_components
    tasks = [part for fold in folds for part in quarter_statistics(fold, blocks)]
    component = np.zeros((q + 1, n))
    for task in tasks:
        component[:, task.scored] = component_gains(task.scoring)
    scored = np.any([task.scored for task in tasks], axis=0)
    own = None if blocks is None else np.asarray(blocks)[scored]
    components = choose_number(component[:, scored], range(q + 1), own, "components")
    numbers = sorted({1, *n_classes})
    tried = [max(components.chosen, 1)]
    if all_components and 0 < components.chosen < q:
        tried.append(q)
    judged = [_judge_classes(tasks, m, numbers, own, seeds, options) for m in tried]
    best = np.stack([j.gains[numbers.index(j.choice.chosen)][scored] for j in judged])
    wanted = choose_number(best, tried, own, "components").chosen
    tasks, classes, gains, fits = judged[tried.index(wanted)]
    if wanted > max(components.chosen, 1):
        reason = f"{classes.chosen} classes in {wanted} components raise the held-out likelihood"
        components = choose_another(components, wanted, reason, component[:, scored], own)
    if components.chosen == 0 and classes.chosen > 1:
        reason = "no component raises the held-out likelihood, so there is nothing to class by"
        classes = choose_another(classes, 1, reason, gains[:, scored], own)
    row = numbers.index(classes.chosen)
    offset = sum(float(task.scoring.offset.sum()) for task in tasks)
    return Evidence(
        components=components,
        classes=classes,
        per_class=_class_losses(tasks, fits[row], gains[row], scored, own),
        spread=_measure_spread(tasks, fits[row], gains[row], scored, own),
        log_likelihood=offset + float(gains[row].sum()),
    )


class _Judged(NamedTuple):
    """Mixtures in the leading components, and the number of classes that they ask for."""

    tasks: list[Quarter]
    choice: Choice
    gains: Float[np.ndarray, "m n"]
    fits: list[list[_Mixture]]  # by number of classes, then by quarter


def _judge_classes(
    tasks: Sequence[Quarter],
    n_components: int,
    numbers: Sequence[int],
    blocks: Shaped[np.ndarray, " m"] | None,
    seeds: int,
    options: FitOptions,
) -> _Judged:
    """Learn every number of classes in each quarter and score it."""
    inside = [task.leading(n_components) for task in tasks]
    scored = np.any([task.scored for task in tasks], axis=0)
    gains = np.zeros((len(numbers), len(scored)))
    fits: list[list[_Mixture]] = [[] for _ in numbers]
    rows = range(len(numbers))
    # Neighbours in this order are compiled apart, and some of them at the same time.
    pairs = [(task, row) for task in inside for row in rows]
    learned = at_once(lambda p: _learn(p[0].learning, numbers[p[1]], seeds, options), pairs)
    for (task, row), fit in zip(pairs, learned, strict=True):
        gains[row, task.scored] = posteriors_and_gain(task.scoring, *fit)[1]
        fits[row].append(fit)
    choice = choose_number(gains[:, scored], numbers, blocks, "classes")
    return _Judged(inside, choice, gains, fits)


def _learn(learning: Statistics, k: int, seeds: int, options: FitOptions) -> _Mixture:
    count = seeds if k > 1 else 1
    narrow = replace(options, tile_columns=min(options.tile_columns, count * k))
    fits = fit_seeds(learning, k, range(count), narrow)
    best = fits.best()
    return _Mixture(fits.coordinates[best], fits.class_weights[best])


def _class_losses(
    tasks: Sequence[Quarter],
    fits: Sequence[_Mixture],
    full: Float[np.ndarray, " n"],
    scored: Bool[np.ndarray, " n"],
    blocks: Shaped[np.ndarray, " m"] | None,
) -> tuple[Interval, ...]:
    """Held-out likelihood that is lost when one class, in order of size, is taken away."""
    k = len(fits[0].class_weights)
    losses = []
    for j in range(k if k > 1 else 0):
        without = np.zeros(len(full))
        for task, (z, weights) in zip(tasks, fits):
            keep = np.arange(k) != j
            rest = weights[keep] / weights[keep].sum()
            without[task.scored] = posteriors_and_gain(task.scoring, z[keep], rest)[1]
        losses.append(block_interval((full - without)[scored], blocks))
    return tuple(losses)


def spread_gain(
    statistics: Statistics,
    coordinates: Float[np.ndarray, "k q"],
    class_weights: Float[np.ndarray, " k"],
    width: float,
) -> Float[np.ndarray, " n"]:
    """Log-likelihood of each particle over the mean map where classes are Gaussians around z_k.

    Their covariance has the shape of that between the classes. K even pieces of a line have a
    variance of 1/(K²−1) of that between their centres: the unit of `width`.
    """
    k = len(class_weights)
    z = np.asarray(coordinates, np.float64)
    centred = z - class_weights @ z
    # Σ π (z − z̄)(z − z̄)ᵀ = L Lᵀ; the coordinates within a class are z_k + L u.
    factor = (centred * np.sqrt(class_weights * width / (k**2 - 1))[:, None]).T
    scores = np.zeros((statistics.n, k))
    for start in range(0, statistics.n, 65_536):
        rows = slice(start, start + 65_536)
        part = statistics.take(rows)
        g, big_g = part.linear().astype(np.float64), part.quadratic().astype(np.float64)
        at_class = big_g @ z.T
        residual = g[:, :, None] - at_class
        system = np.eye(k) + factor.T @ big_g @ factor
        inner = factor.T @ residual
        gained = 0.5 * np.sum(inner * np.linalg.solve(system, inner), 1)
        gained -= 0.5 * np.linalg.slogdet(system)[1][:, None]
        scores[rows] = g @ z.T - 0.5 * np.einsum("nqk,kq->nk", at_class, z) + gained
    return np.logaddexp.reduce(scores + np.log(np.maximum(class_weights, 1e-12)), 1)


def _measure_spread(
    tasks: Sequence[Quarter],
    fits: Sequence[_Mixture],
    without: Float[np.ndarray, " n"],
    scored: Bool[np.ndarray, " n"],
    blocks: Shaped[np.ndarray, " m"] | None,
) -> Spread | None:
    """The width that the learning particles find likeliest, judged by the others."""
    if len(fits[0].class_weights) < 2:
        return None
    learned = np.zeros(len(WIDTHS))
    gains = np.zeros((len(WIDTHS), len(without)))
    for task, (z, weights) in zip(tasks, fits):
        for row, width in enumerate(WIDTHS):
            learned[row] += spread_gain(task.learning, z, weights, width).sum()
            gains[row, task.scored] = spread_gain(task.scoring, z, weights, width)
    best = int(np.argmax(learned))
    gain = block_interval((gains[best] - without)[scored], blocks)
    enough = bool(gain.low > 0 and gain.value > least_gain(int(scored.sum())))
    return Spread(WIDTHS[best], gain, enough and WIDTHS[best] >= CUT_WIDTH)
