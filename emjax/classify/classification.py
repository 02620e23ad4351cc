"""The one result of every method: who belongs where, the maps, and how the run went.

Nothing here needs JAX, so that files of a run can be written and read without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int


@runtime_checkable
class Record(Protocol):
    """What one iteration changed and found."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON writes it."""
        ...


@dataclass(frozen=True)
class Classification:
    """What a run found; a method that has no maps, half-maps or likelihood leaves them out."""

    method: str
    labels: Int[np.ndarray, " n"]  # from 0; -1 where a particle has no class
    posteriors: Float[np.ndarray, "n k"]
    seed: int | None = None
    maps: Float[np.ndarray, "k d d d"] | None = None  # masked
    half_maps: Float[np.ndarray, "2 k d d d"] | None = None  # not masked, as are hard_maps
    hard_maps: Float[np.ndarray, "k d d d"] | None = None  # each particle in its best class only
    fsc: Float[np.ndarray, "k s"] | None = None  # of the half-maps
    images: Mapping[str, Float[np.ndarray, "k d d"]] = field(default_factory=dict)  # flat ones
    tables: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)  # by columns
    log_likelihood: float | None = None  # mean per particle
    converged: bool | None = None
    iterations: int | None = None
    history: tuple[Record, ...] = ()  # one per iteration
    ess_histogram: Int[np.ndarray, " b"] | None = None  # particles by effective number of classes
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # what only this method knows

    @property
    def n_classes(self) -> int:
        """Number of classes, empty ones too."""
        return self.posteriors.shape[1]

    @property
    def class_sizes(self) -> Int[np.ndarray, " k"]:
        """Particles in each class."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.n_classes)

    def spread(self, rows: Int[np.ndarray, " n"], n: int) -> "Classification":
        """The same for a larger set, of which these are some of the particles.

        Args:
            rows: of these particles in the set; the others have no class.
            n: particles of the set.
        """
        labels = np.full(n, -1, self.labels.dtype)
        posteriors = np.zeros((n, self.n_classes), self.posteriors.dtype)
        labels[rows], posteriors[rows] = self.labels, self.posteriors
        return replace(self, labels=labels, posteriors=posteriors)

    def record(self) -> dict[str, Any]:
        """Plain numbers and words, as metrics.json holds them."""
        known: dict[str, Any] = {
            "method": self.method,
            "n_classes": self.n_classes,
            "seed": self.seed,
            "iterations": self.iterations,
            "converged": self.converged,
            "log_likelihood": self.log_likelihood,
        }
        if self.ess_histogram is not None:
            known["ess_histogram"] = self.ess_histogram.tolist()
        return {name: value for name, value in known.items() if value is not None} | {
            "class_sizes": self.class_sizes.tolist(),
            "class_mass": self.posteriors.sum(0, dtype=float).tolist(),
            "warnings": list(self.warnings),
            "history": [record.to_dict() for record in self.history],
            **self.facts,
        }
