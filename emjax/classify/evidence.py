"""Held-out evidence: do other particles confirm what was found in some?

Training likelihood always asks for more components and more classes, and seeds can agree on noise.
What is fitted on one fold is scored on the others: the log-likelihood gain over the simplest model,
with an interval over micrographs, whose particles share ice, defocus and pose errors.

A labelling of all particles has seen the held-out ones: maps of its members carry their noise.
Evidence for it must come from runs on one fold.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from emjax.classify.pose_error import PoseError

Z95 = 1.959964
MIN_GAIN = 5.0  # nats, a Bayes factor of 150: less is no evidence however small its error
# Nats per particle: what is left of wrong poses and of interpolation gave up to 0.007 in
# simulations, a state of 10 % of the particles that differs by 1.2 % of the mass 0.08.
MIN_PER_PARTICLE = 0.01
NOTHING_FOUND = "no discrete heterogeneity found"


@dataclass(frozen=True)
class Interval:
    """A sum over particles with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """Held-out gain of every candidate number, and the number chosen."""

    numbers: tuple[int, ...]
    gains: tuple[Interval, ...]  # over the simplest candidate
    differences: tuple[Interval, ...]  # from the number chosen, of the same particles
    chosen: int
    reason: str


def block_interval(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"] | None = None
) -> Interval:
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
        # Blocks differ in size: what varies is their sum around that of a block of its size.
        sums = np.bincount(index, values - values.mean())
    m = len(sums)
    spread = sums - sums.mean()
    error = np.sqrt(m / max(m - 1, 1) * np.sum(spread**2))
    total = float(values.sum())
    return Interval(total, total - Z95 * error, total + Z95 * error)


def least_gain(n: int) -> float:
    """Nats by which n held-out particles must gain before it counts."""
    return max(MIN_GAIN, MIN_PER_PARTICLE * n)


def detectable_fraction(
    n: int, mask: Float[np.ndarray, "d d d"], radius: float, signal_power: float
) -> float:
    """Smallest difference of two equally frequent states that n particles show held-out ones.

    As a fraction of the particle's mass: a difference has that fraction of the map's power. One
    half of the particles finds it where the variance along it exceeds √(d/n) in units of the
    noise, d independent coefficients of a map in the mask (Baik, Ben Arous & Péché 2005, Ann.
    Probab. 33, 1643); held-out particles count it above `least_gain`.

    Args:
        n: particles.
        mask: where states may differ.
        radius: highest frequency, in Fourier pixels of its box.
        signal_power: of the mean map in an image, mean |CPμ|² over the noise power.
    """
    freedom = 4 / 3 * np.pi * radius**3 * float(np.sum(mask)) / mask.size
    found = np.sqrt(2 * freedom / max(n, 1))
    # The likelihood gains v²/4 per particle by a variance v along one direction.
    counted = 2 * np.sqrt(2 * least_gain(max(n // 2, 1)) / max(n, 1))
    return float(max(found, counted) / max(signal_power / 4, 1e-12))


def choose_number(
    gains: Float[np.ndarray, "m n"],
    numbers: Sequence[int],
    blocks: Shaped[np.ndarray, " n"] | None,
    what: str,
) -> Choice:
    """The smallest number that no larger one beats by more than chance.

    Args:
        gains: held-out log-likelihood of each particle under each candidate.
        numbers: candidates from the simplest up.
        blocks: micrograph of each particle.
        what: the word for the reason: classes, components.
    """
    total = [block_interval(g - gains[0], blocks) for g in gains]
    best = int(np.argmax([t.value for t in total]))
    least = least_gain(gains.shape[1])
    chosen = 0
    while chosen < best:
        better = [
            i
            for i in range(chosen + 1, len(gains))
            if block_interval(gains[i] - gains[chosen], blocks).low > 0
            and total[i].value - total[chosen].value > least
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
            f" ({value.low:.0f} … {value.high:.0f}); "
            + (
                "no more of them raises it further"
                if chosen < len(gains) - 1
                else "more were not tried"
            )
        )
    paired = [block_interval(g - gains[chosen], blocks) for g in gains]
    return Choice(tuple(numbers), tuple(total), tuple(paired), int(numbers[chosen]), reason)


def choose_another(
    choice: Choice,
    chosen: int,
    reason: str,
    gains: Float[np.ndarray, "m n"],
    blocks: Shaped[np.ndarray, " n"] | None,
) -> Choice:
    """The same candidates with another of them chosen, and the differences from that one.

    Args:
        choice: what the gains alone would choose.
        chosen: the number chosen instead.
        reason: why.
        gains: held-out log-likelihood of each particle under each candidate.
        blocks: micrograph of each particle.
    """
    row = choice.numbers.index(chosen)
    paired = tuple(block_interval(g - gains[row], blocks) for g in gains)
    return replace(choice, chosen=chosen, reason=reason, differences=paired)


def verdict(classes: Choice) -> str:
    """The answer in words."""
    if classes.chosen == 1:
        return NOTHING_FOUND
    return f"{classes.chosen} classes raise the held-out likelihood"


def evidence_record(
    answer: str,
    discrete_classes: int,
    classes: Choice,
    per_class: Sequence[Interval],
    pose_error: PoseError | None,
) -> dict[str, Any]:
    """What evidence.json of every method holds, in plain numbers and words.

    Args:
        answer: the verdict in words.
        discrete_classes: number of states that held-out particles confirm, 1 where there are none.
        classes: candidate numbers of classes, and the one chosen.
        per_class: held-out likelihood that is lost without each class.
        pose_error: prior widths that were marginalised; None for exact poses.
    """
    return {
        "verdict": answer,
        "discrete_classes": discrete_classes,
        "classes": asdict(classes),
        "per_class": [asdict(loss) for loss in per_class],
        "pose_error": pose_error and pose_error.record(),
    }


def evidence_curve(
    classes: Choice,
) -> dict[str, Int[np.ndarray, " m"] | Float[np.ndarray, " m"] | Bool[np.ndarray, " m"]]:
    """Columns of evidence.tsv: held-out gain over one class, and beside the number chosen.

    The latter (`difference`) is paired: both numbers score the same particles.
    """
    numbers = np.array(classes.numbers)
    columns = {
        f"{name}{end and '_' + end}": np.array([getattr(v, end or "value") for v in values])
        for name, values in (("gain", classes.gains), ("difference", classes.differences))
        for end in ("", "low", "high")
    }
    return {"n_classes": numbers, **columns, "chosen": numbers == classes.chosen}
