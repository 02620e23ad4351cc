"""Held-out evidence: does what was found in some particles explain other particles?

Training likelihood always asks for more components and more classes, and seeds can agree on noise.
What is fitted on one fold is scored on the others: the log-likelihood gain over the mean map, with
an interval over micrographs, whose particles share ice, defocus and pose errors.

A labelling made from all particles has seen the held-out ones: maps of its members carry their
noise. Evidence for it must come from runs on one fold; `crossfit_classes` makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from emjax.classify.subspace import (
    DEFAULTS,
    CampaignOptions,
    Statistics,
    posteriors_and_gain,
    run_campaign,
)

Z95 = 1.959964


@dataclass(frozen=True)
class Interval:
    """A sum over particles with its 95 % interval."""

    value: float
    low: float
    high: float


def block_interval(values: Float[np.ndarray, " n"], blocks: np.ndarray | None = None) -> Interval:
    """Sum of the values, its error from the spread between blocks (particles where None).

    Args:
        values: of each particle.
        blocks: name of each particle's block (micrograph); at least two.
    """
    values = np.asarray(values, np.float64)
    if blocks is None or len(np.unique(blocks)) < 2:
        sums = values
    else:
        _, index = np.unique(blocks, return_inverse=True)
        counts = np.bincount(index)
        # Blocks differ in size: what varies is their sum around that of a block of its size.
        sums = np.bincount(index, values - values.mean()) + counts * 0.0
    m = len(sums)
    spread = sums - sums.mean()
    error = np.sqrt(m / max(m - 1, 1) * np.sum(spread**2))
    total = float(values.sum())
    return Interval(total, total - Z95 * error, total + Z95 * error)


@dataclass(frozen=True)
class Choice:
    """Held-out gain of every candidate number, and the number chosen."""

    numbers: tuple[int, ...]
    gains: tuple[Interval, ...]  # over the simplest candidate
    steps: tuple[Interval, ...]  # over the candidate before
    chosen: int
    reason: str


def choose_number(
    gains: Float[np.ndarray, "m n"], numbers: Sequence[int], blocks: np.ndarray | None, what: str
) -> Choice:
    """The smallest number that no larger one beats by more than chance.

    Args:
        gains: held-out log-likelihood of each particle under each candidate.
        numbers: candidates from the simplest up.
        blocks: micrograph of each particle.
        what: the word for the reason: classes, components.
    """
    total = [block_interval(g - gains[0], blocks) for g in gains]
    steps = [Interval(0.0, 0.0, 0.0)]
    steps += [block_interval(b - a, blocks) for a, b in zip(gains, gains[1:])]
    best = int(np.argmax([t.value for t in total]))
    chosen = 0
    while chosen < best:
        better = [
            i
            for i in range(chosen + 1, len(gains))
            if block_interval(gains[i] - gains[chosen], blocks).low > 0
        ]
        if not better:
            break
        chosen = better[0]
    value = total[chosen]
    if chosen == 0:
        reason = f"no number of {what} above {numbers[0]} raises the held-out likelihood"
    else:
        reason = (
            f"{numbers[chosen]} {what} raise the held-out log-likelihood by {value.value:.0f}"
            f" ({value.low:.0f} … {value.high:.0f}); no more of them raises it further"
        )
    return Choice(tuple(numbers), tuple(total), tuple(steps), int(numbers[chosen]), reason)


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
class ClassEvidence:
    """Evidence for numbers of classes, and for each class of the number chosen."""

    choice: Choice
    per_class: tuple[Interval, ...]  # what the held-out likelihood loses without the class
    found: bool  # False: no discrete heterogeneity found


def crossfit_classes(
    folds: Sequence[tuple[Statistics, np.ndarray, np.ndarray]],
    n_particles: int,
    n_classes: Sequence[int],
    blocks: np.ndarray | None = None,
    seeds: int = 40,
    options: CampaignOptions = DEFAULTS,
) -> tuple[ClassEvidence, Float[np.ndarray, "m n"]]:
    """Fit every number of classes on the training rows of each fold, score the other rows.

    Args:
        folds: statistics of all particles in the basis of a fold, its training rows, and the rows
            it scores; the rows scored must be disjoint between folds.
        n_particles: in all.
        n_classes: candidates; 1 is added.
        blocks: micrograph of each particle.
        seeds: of each fit.
        options: of the fits.

    Returns:
        The evidence, and the held-out gain of each particle for each number of classes.
    """
    numbers = sorted({1, *n_classes})
    gains = np.zeros((len(numbers), n_particles))
    scored = np.zeros(n_particles, bool)
    fits = []
    for statistics, train, test in folds:
        training, testing = statistics.take(train), statistics.take(test)
        scored[test] = True
        fits.append([])
        for row, k in enumerate(numbers):
            campaign = run_campaign(training, k, range(seeds if k > 1 else 1), options)
            best = campaign.best()
            fit = campaign.coordinates[best], campaign.class_weights[best]
            gains[row, test] = posteriors_and_gain(testing, *fit)[1]
            fits[-1].append(fit)
    own = None if blocks is None else np.asarray(blocks)[scored]
    choice = choose_number(gains[:, scored], numbers, own, "classes")
    row = numbers.index(choice.chosen)
    per_class = _class_losses(folds, [f[row] for f in fits], gains[row], scored, own)
    return ClassEvidence(choice, per_class, choice.chosen > 1), gains


def _class_losses(folds, fits, full, scored, blocks) -> tuple[Interval, ...]:
    """Held-out likelihood that is lost when one class, in order of size, is taken away."""
    k = len(fits[0][1])
    if k == 1:
        return ()
    losses = []
    for j in range(k):
        without = np.zeros(len(full))
        for (statistics, _, test), (z, weights) in zip(folds, fits):
            keep = np.arange(k) != j
            rest = weights[keep] / weights[keep].sum()
            without[test] = posteriors_and_gain(statistics.take(test), z[keep], rest)[1]
        losses.append(block_interval((full - without)[scored], blocks))
    return tuple(losses)
