"""What scores of particles mean: a mixture of those that fit and those that fit nothing.

What an image scores where nothing fits is seen from decoys: the same images at other particles'
poses, or images without a particle. A refinement lifts scores of images that hold no particle,
since it takes the best of many poses, and leaves a few particles at a wrong one; so mean and width
of what does not fit are found from the scores themselves, within what decoys reach. Where the two
overlap nobody can be told from anybody.

Source: empirical null and local false-discovery rate: Efron, Stat. Sci. 23 (2008) 1; separation:
Ashman, Bird & Zepf, Astron. J. 108 (1994) 2348.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

SEPARATED = 2.0  # Ashman's D, above which two normal distributions are two
WIDER, NARROWER = 1.2, 0.3  # than the decoys' those scores may spread that fit nothing
MAX_STEPS = 500
TOLERANCE = 1e-6  # of the share of particles that fit nothing
BIN = 0.05  # of the scores that the mixture is fitted to
_Z = np.linspace(-5, 5, 81)  # of a standard normal distribution, and its mass there
_MASS = np.exp(-0.5 * _Z**2) / np.exp(-0.5 * _Z**2).sum()


@dataclass(frozen=True)
class Normal:
    """A normal distribution of scores."""

    mean: float
    sd: float

    def density(self, score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """At each score."""
        z = (score - self.mean) / self.sd
        return np.exp(-0.5 * z**2) / (self.sd * np.sqrt(2 * np.pi))

    def separation(self, other: "Normal") -> float:
        """Ashman's D: distance of the means over the root mean square of the widths."""
        return float(abs(self.mean - other.mean) / np.sqrt((self.sd**2 + other.sd**2) / 2))


@dataclass(frozen=True)
class Signal(Normal):
    """Scores of particles that fit: a positive signal of log-normal strength, and unit noise.

    Contrast, view and defocus multiply the signal, so weak ones are rarer than a normal
    distribution of the same width says.
    """

    def density(self, score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """At each score; `mean` and `sd` are of the scores, noise included."""
        variance = np.log1p(max(self.sd**2 - 1, 0.01) / self.mean**2)
        strength = np.exp(np.log(self.mean) - variance / 2 + np.sqrt(variance) * _Z)
        z = np.asarray(score)[:, None] - strength
        return np.exp(-0.5 * z**2) @ _MASS / np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Calibration:
    """What scores mean in this set of particles."""

    unfit: Normal
    fit: Signal
    decoys: Normal
    share: float  # of particles that fit nothing; 0 where the two cannot be told apart
    separation: float  # of those that fit from decoys and from those that do not, the lesser

    @property
    def separated(self) -> bool:
        """Whether particles that fit nothing can be told from those that fit."""
        return bool(self.separation >= SEPARATED)

    def record(self) -> dict[str, Any]:
        """Plain numbers, as JSON holds them."""
        return asdict(self) | {"separated": self.separated}

    @classmethod
    def read(cls, record: dict[str, Any]) -> "Calibration":
        """That of which `record` gave these numbers."""
        unfit, fit, decoys = Normal(**record["unfit"]), Signal(**record["fit"]), record["decoys"]
        return cls(unfit, fit, Normal(**decoys), record["share"], record["separation"])

    def probability(self, score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """That a particle fits; 1 for all where the two cannot be told apart."""
        if not self.separated:
            return np.ones(len(score))
        # Beyond both ends the nearer distribution decides, whichever is wider.
        grid = np.linspace(self.unfit.mean, self.fit.mean, 4000)
        fit = (1 - self.share) * self.fit.density(grid)
        unfit = self.share * self.unfit.density(grid)
        return np.interp(score, grid, fit / np.maximum(fit + unfit, 1e-300))


def calibrate(
    score: Float[np.ndarray, " n"],
    decoys: Float[np.ndarray, " m"],
    fit: Signal | None = None,
) -> Calibration:
    """Distributions of scores that fit and that do not, by expectation-maximisation.

    Args:
        score: of the particles.
        decoys: of images where nothing fits.
        fit: of those that fit, where it is known.
    """
    # A decoy may meet its image's own view by chance: quantiles do not see these.
    low, middle, high = np.percentile(decoys, [16, 50, 84])
    random = Normal(float(middle), float(max(high - low, 1e-3) / 2))
    reach = float(np.percentile(decoys, 99))
    # The nearest multiples of a small step, counted: any number of particles takes the same time.
    bins, of_score = np.unique(np.round(score / BIN), return_inverse=True)
    scores, counts = bins * BIN, np.bincount(of_score).astype(float)
    now = _Mixture(random, fit or _first_signal(score, reach), float(np.mean(score < reach)))
    for _ in range(MAX_STEPS):
        before = now.share
        now = _step(scores, counts, now, random, reach, fit is not None)
        if abs(now.share - before) < TOLERANCE:
            break
    separation = min(now.fit.separation(now.unfit), now.fit.separation(random))
    share = now.share if separation >= SEPARATED else 0.0
    return Calibration(now.unfit, now.fit, random, share, separation)


def _first_signal(score: Float[np.ndarray, " n"], reach: float) -> Signal:
    above = score[score >= reach] if np.any(score >= reach) else np.abs(score)
    return Signal(max(float(np.median(above)), 0.1), float(max(above.std(), 1.0)))


class _Mixture(NamedTuple):
    unfit: Normal
    fit: Signal
    share: float


def _step(
    score: Float[np.ndarray, " b"],
    counts: Float[np.ndarray, " b"],
    now: _Mixture,
    random: Normal,
    reach: float,
    fixed: bool,
) -> _Mixture:
    """One iteration on binned scores; what does not fit stays within what decoys reach."""
    unfit, fit, share = now
    a, b = share * unfit.density(score), (1 - share) * fit.density(score)
    # Where neither has any density, the nearer decides.
    member = np.where(a + b > 0, a / np.maximum(a + b, 1e-300), score < unfit.mean)
    mass = counts * member
    if mass.sum() > 0.5:
        mean, sd = _moments(score, mass)
        mean = np.clip(mean, random.mean - random.sd, reach)
        sd = np.clip(sd, NARROWER * random.sd, WIDER * random.sd)
        unfit = Normal(float(mean), float(sd))
    if not fixed:
        mean, sd = _moments(score, counts - mass)
        fit = Signal(max(mean, unfit.mean, 0.1), max(sd, 1.0))
    return _Mixture(unfit, fit, float(mass.sum() / counts.sum()))


def _moments(score: Float[np.ndarray, " b"], mass: Float[np.ndarray, " b"]) -> tuple[float, float]:
    total = max(mass.sum(), 1e-9)
    mean = float(mass @ score / total)
    return mean, float(np.sqrt(mass @ (score - mean) ** 2 / total))


def score_of(log_likelihood_ratio: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Scores of log-likelihood ratios (nats): the root of twice the ratio, with its sign."""
    return np.sign(log_likelihood_ratio) * np.sqrt(2 * np.abs(log_likelihood_ratio))


def within_rate(probability: Float[np.ndarray, " n"], rate: float) -> Bool[np.ndarray, " n"]:
    """Particles to set aside: the most that hold at most this expected fraction that fit.

    None that more probably fits than not is among them, however much the fraction allows.

    Args:
        probability: that a particle fits.
        rate: false-discovery rate; none for 0.
    """
    if rate == 0:
        return np.zeros(len(probability), bool)
    order = np.argsort(probability, kind="stable")
    order = order[probability[order] < 0.5]
    expected = np.cumsum(probability[order]) / np.arange(1, len(order) + 1)
    chosen = np.zeros(len(probability), bool)
    chosen[order[: int(np.searchsorted(expected, rate, side="right"))]] = True
    return chosen
