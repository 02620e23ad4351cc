"""Options of a consensus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

PARTICLES_PER_CLASS = 200
LABELLINGS = ("auto", "tree", "model")


@dataclass(frozen=True)
class ConsensusOptions:
    """Options of the consensus, with the names of config.yaml.

    Attributes:
        metric: distance between memberships: cosine, euclidean, cityblock, correlation.
        min_class_size: particles of smaller intersections are set aside.
        fdr: q-value below which a class is called significant.
        n_classes: auto, a number, or an elbow's name.
        labelling: `tree` cuts the linkage, `model` takes the most probable latent class; `auto`
            is the model for `n_classes: auto`, settled on the images where they are given, else
            the tree.
        min_class_fraction, min_class_particles: a consensus class holds at least this fraction of
            the particles, or this many if they are fewer; below it is debris.
        min_posterior: particles whose latent class is less probable are between classes.
        min_stability: particles whose runs agree less are set aside.
        max_classes: most classes considered.
        max_linked, max_listed: most intersections linked and listed, the largest first.
        fit_particles: particles that the number is chosen on, but 200 for every class of the
            largest run; 10 times as many refine the rates.
        resamples: resamplings of runs and particles for the number's uncertainty.
    """

    metric: str = "cosine"
    min_class_size: int = 0
    fdr: float = 0.05
    n_classes: str | int = "auto"
    labelling: str = "auto"
    min_class_fraction: float = 0.015
    min_class_particles: int = 50
    min_posterior: float = 0.5
    min_stability: float = 0.0
    max_classes: int = 64
    max_linked: int = 500
    max_listed: int = 200_000
    fit_particles: int = 4000
    resamples: int = 20
    seed: int = 0

    def min_fraction(self, n_particles: int) -> float:
        """Smallest share of a consensus class; below 0.2 % the sample shows too few of it."""
        share = min(self.min_class_fraction, self.min_class_particles / max(n_particles, 1))
        return max(share, 0.002)

    def sample_size(self, n_classes: Int[np.ndarray, " r"]) -> int:
        """Particles that show enough of every class of runs with so many."""
        return max(self.fit_particles, PARTICLES_PER_CLASS * int(n_classes.max()))
