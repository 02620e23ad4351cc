"""Folds of the particles: a basis is fitted without one, whose halves learn and score in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Shaped

from emjax.classify.subspace.statistics import Statistics, change_basis, latent_mix


@dataclass(frozen=True)
class Fold:
    """A basis fitted on some particles, and the others, which judge it."""

    statistics: Statistics  # of all n particles in the basis
    held_out: Bool[np.ndarray, " n"]  # not seen by the fit of the basis


def quarters(
    fold: Fold, blocks: Shaped[np.ndarray, " n"] | None, seed: int = 0
) -> list[tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]]:
    """The held-out particles in two parts by block, each once to learn from and once to score."""
    names = np.arange(fold.statistics.n) if blocks is None else np.asarray(blocks)
    own = np.unique(names[fold.held_out])
    first = np.random.default_rng(seed).permutation(own)[: len(own) // 2]
    part = fold.held_out & np.isin(names, first)
    rest = fold.held_out & ~part
    return [(part, rest), (rest, part)]


@dataclass(frozen=True)
class Quarter:
    """Particles to learn from and particles to score, in one basis, with their rows."""

    learning: Statistics
    learns: Bool[np.ndarray, " n"]
    scoring: Statistics
    scored: Bool[np.ndarray, " n"]

    def leading(self, n_components: int) -> "Quarter":
        """The same in the first components only."""
        learning, scoring = (s.leading(n_components) for s in (self.learning, self.scoring))
        return replace(self, learning=learning, scoring=scoring)


def quarter_statistics(
    fold: Fold, blocks: Shaped[np.ndarray, " n"] | None = None
) -> Iterator[Quarter]:
    """Both ways of learning from one half of a fold and scoring the other.

    Components are mixed so that their coordinates have unit variance among those that learn, the
    one that images show best first.
    """
    for learn, score in quarters(fold, blocks):
        mix = latent_mix(fold.statistics.take(learn))
        learning, scoring = (change_basis(fold.statistics.take(r), mix) for r in (learn, score))
        yield Quarter(learning, learn, scoring, score)
