"""How many classes a consensus has, and what speaks for it, as elbows.json holds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from emjax.consensus.choose import Choice, Verdict
from emjax.consensus.elbows import Elbows


@dataclass(frozen=True)
class ClassNumber:
    """Number of classes that each rule suggests, that is recommended, and that is used.

    Attributes:
        recommended_low, recommended_high: 90 % interval over resamplings of runs and particles.
        resampled_agreement: share of the resamplings that recommend the same number.
        chosen_by: the option, `auto`, a number or a rule.
        labelled_by: what assigned the particles: `model`, `tree`, or the only `run`.
        likelihood_peak: number of latent classes with the best information criterion.
        unexplained: share of the association between runs that the classes do not explain.
    """

    elbows: Elbows
    recommended: int
    recommended_low: int
    recommended_high: int
    resampled_agreement: float
    verdict: Verdict
    why: str
    chosen: int
    chosen_by: str
    labelled_by: str
    likelihood_peak: int
    unexplained: float

    def record(self) -> dict[str, int | float | str]:
        """Plain numbers and words; the rules' numbers stand beside the others."""
        rest = asdict(self)
        del rest["elbows"]
        return asdict(self.elbows) | rest | {"verdict": str(self.verdict)}


def describe_number(
    choice: Choice,
    elbows: Elbows,
    chosen: int,
    chosen_by: str | int,
    labelled_by: str,
    repeats: str = "",
) -> ClassNumber:
    """The number in use beside the recommended one with its uncertainty and reasons."""
    counts = choice.counts if len(choice.counts) else np.asarray([choice.recommended])
    low, high = np.percentile(counts, [5, 95], method="nearest")
    return ClassNumber(
        elbows=elbows,
        recommended=choice.recommended,
        recommended_low=int(min(low, choice.recommended)),
        recommended_high=int(max(high, choice.recommended)),
        resampled_agreement=float(np.mean(counts == choice.recommended)),
        verdict=choice.verdict,
        why=choice.reason + repeats,
        chosen=int(chosen),
        chosen_by=str(chosen_by),
        labelled_by=labelled_by,
        likelihood_peak=int(max(choice.scores, key=lambda k: choice.scores[k])),
        unexplained=float(choice.unexplained),
    )
