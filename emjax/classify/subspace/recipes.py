"""Recipes for a basis, each fitted on every fold alone and scored on the particles left out.

One basis in the mask, the same inside the region that varies, with components of windows in which
classes still vary, and of the differences between the classes, each where it stands out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped

from emjax.classify.evidence import block_interval
from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.pose_error import AUTO_WIDTHS, PoseError, nuisance_coefficients
from emjax.classify.subspace.basis import Basis, BasisOptions, fit_basis
from emjax.classify.subspace.enrich import enrich_by_windows, localise_differences
from emjax.classify.subspace.folds import Fold
from emjax.classify.subspace.held_out import Evidence, held_out_evidence
from emjax.classify.subspace.projection import project_statistics
from emjax.classify.subspace.region import refit_in_region
from emjax.classify.subspace.statistics import Statistics, change_basis, latent_mix
from emjax.imaging.maps import slicing_values
from emjax.imaging.prepare import MeanMap


@dataclass(frozen=True)
class SubspaceOptions:
    """Options of the analysis."""

    n_classes: tuple[int, ...] = (2, 3, 4, 5, 6)
    n_components: int = 8
    iterations: int = 12
    component_prior: float = 0.01
    pose_error: str | PoseError = "auto"  # auto · off · a width
    regions: bool = True
    within_classes: bool = True
    evidence_seeds: int = 30
    seed: int = 0


@dataclass(frozen=True)
class Candidate:
    """A recipe for a basis, its fit on each fold, and what held-out particles say."""

    name: str  # mask · region · classes · differences
    bases: dict[int, Basis]  # by the fold that was left out
    evidence: Evidence
    scale: float  # of the pose error
    held_out: Statistics  # of each particle in the basis fitted without its fold


class Analyst:
    """The steps of an analysis on one set of particles."""

    def __init__(
        self,
        operators: PixelOperators,
        mean: MeanMap,
        mask: Float[np.ndarray, "d d d"],
        blocks: Shaped[np.ndarray, " n"] | None,
        options: SubspaceOptions,
        say: Callable[..., None],
        components: Complex[Array, "q v"] | None,
    ):
        """The width of the pose error comes from the mean map; `components` replaces the fits."""
        self.operators, self.mean, self.mask = operators, mean, np.asarray(mask)
        self.blocks, self.options, self.say = blocks, options, say
        self.grid = operators.grid
        self.folds = tuple(int(f) for f in np.unique(operators.fold_of))
        self.width, self.nuisance = self._nuisance()
        self.exact = False
        self.components = components
        self.scale = self._first_scale()

    def _nuisance(self) -> tuple[PoseError, Complex[Array, "m v"]]:
        choice = self.options.pose_error
        width = PoseError() if isinstance(choice, str) else choice
        voxel_size = self.operators.particles.voxel_size
        values = nuisance_coefficients(
            self.mean.volume, self.mean.solvent_mask, self.grid, voxel_size, width, 2
        )
        return width, values

    def scales(self) -> tuple[float, ...]:
        """Widths of the pose error to try, in units of the one the derivatives were made for."""
        return {"off": (0.0,), "auto": AUTO_WIDTHS}.get(str(self.options.pose_error), (1.0,))

    def _first_scale(self) -> float:
        """Width by the mean map alone, which shows whether poses are off."""
        scales = self.scales()
        if len(scales) == 1:
            return scales[0]
        values = slicing_values(jnp.asarray(self.mean.volume * self.mean.solvent_mask), self.grid)
        alone = Basis(values, values[:0].reshape(0, len(values)))
        found = project_statistics(self.operators, alone, self.nuisance, scales)
        totals = [float(s.offset.sum()) for s in found]
        self.say("mean map's evidence by pose width", {s: round(t) for s, t in zip(scales, totals)})
        gain = block_interval(found[1].offset - found[0].offset, self.blocks)
        self.exact = totals[0] == max(totals) and gain.high < 0
        return scales[int(np.argmax(totals))]

    def fit_in_mask(self, fold: int | None, start: Complex[Array, "q v"] | None) -> Basis:
        """Basis in the mask of all particles but those of a fold."""
        options = BasisOptions(
            self.options.n_components,
            self.options.iterations,
            component_prior=self.options.component_prior,
            seed=self.options.seed,
        )
        return fit_basis(
            self.operators,
            slicing_values(jnp.asarray(self._mean_without(fold)), self.grid),
            self.mask,
            options,
            folds=self._but(fold),
            nuisance=self._marginalised(),
            components=start,
        )

    def improve(
        self, name: str, basis: Basis, evidence: Evidence, fold: int | None
    ) -> Basis | None:
        """A basis refitted by another recipe without a fold; None where nothing stands out.

        Args:
            name: region, classes or differences.
            basis: of an earlier recipe, on the same particles.
            evidence: of the earlier recipe.
            fold: the particles left out.
        """
        options = BasisOptions(
            basis.n_components,
            max(6, self.options.iterations // 2),
            component_prior=self.options.component_prior,
        )
        folds, nuisance = self._but(fold), self._marginalised()
        if name == "region":
            return refit_in_region(self.operators, basis, self.mask, options, folds, nuisance)
        numbers = evidence.classes.chosen, evidence.components.chosen
        if name == "differences":
            return localise_differences(
                self.operators, basis, self.mask, *numbers, folds, nuisance, self.scale
            )
        return enrich_by_windows(
            self.operators, basis, self.mask, *numbers, options, folds, nuisance, self.scale
        )

    def _but(self, fold: int | None) -> tuple[int, ...] | None:
        return None if fold is None else tuple(f for f in self.folds if f != fold)

    def _marginalised(self) -> Complex[Array, "m v"] | None:
        """The width the derivatives were made for serves every scale above zero."""
        return self.nuisance[:6] if self.scale > 0 else None

    def _mean_without(self, fold: int | None) -> np.ndarray:
        volume = self.mean.volume
        if fold is not None and set(self.folds) == {1, 2}:
            volume = self.mean.half_maps[2 - fold]
        return np.asarray(volume * self.mean.solvent_mask, np.float32)

    def judge(self, name: str, previous: Candidate | None = None) -> Candidate | None:
        """Fit a recipe on every fold and score it on what was left out."""
        bases = {}
        for fold in self.folds:
            if previous is None:
                basis = self.fit_in_mask(fold, self.components)
            else:
                basis = self.improve(name, previous.bases[fold], previous.evidence, fold)
            if basis is None:
                return None
            bases[fold] = basis
        return self.score(name, bases, self.scale)

    def score(self, name: str, bases: dict[int, Basis], scale: float) -> Candidate:
        """Evidence of fitted bases at one scale of the pose error."""
        q = max(basis.n_components for basis in bases.values())
        judged = []
        for fold, basis in bases.items():
            found = project_statistics(
                self.operators, basis, self.nuisance if scale else None, (scale,), (fold,)
            )[0]
            judged.append(Fold(_widened(found, q), self.operators.fold_of == fold))
        evidence = held_out_evidence(
            judged,
            self.options.n_classes,
            self.blocks,
            self.options.evidence_seeds,
            all_components=name in ("classes", "differences"),
        )
        self.say(
            f"{name}: pose scale {scale}, {evidence.components.chosen} components,"
            f" {evidence.classes.chosen} classes, held-out {evidence.log_likelihood:.0f};"
            f" gains {[round(g.value) for g in evidence.classes.gains]}"
        )
        held_out = judged[0].statistics
        for fold in judged[1:]:
            held_out = held_out.replaced_by(fold.statistics, fold.held_out)
        return Candidate(name, bases, evidence, scale, held_out)

    def confirmed(self, candidate: Candidate, basis: Basis) -> Float[np.ndarray, "q p"]:
        """Directions of a basis of all particles that held-out particles confirmed."""
        keep = max(candidate.evidence.components.chosen, 1)
        if keep >= basis.n_components:
            return np.eye(basis.n_components)
        own = np.asarray(basis.components)
        directions = []
        for fold, other in candidate.bases.items():
            found = project_statistics(
                self.operators,
                other,
                self.nuisance if candidate.scale else None,
                (candidate.scale,),
                (fold,),
            )[0]
            mix = latent_mix(found.take(self.operators.fold_of == fold))[:, :keep]
            volumes = mix.T @ np.asarray(other.components)
            gram = np.real(own.conj() @ own.T)
            part = np.linalg.solve(gram, np.real(own.conj() @ volumes.T))
            # A fold's basis may have fewer components than the other's confirmed.
            order = np.arange(keep, keep - part.shape[1], -1)
            directions.append(part / np.linalg.norm(part, axis=0) * order**0.5)
        return np.linalg.svd(np.concatenate(directions, 1), full_matrices=False)[0][:, :keep]


def _widened(statistics: Statistics, n_components: int) -> Statistics:
    """The same particles with components that explain nothing, so that folds have as many."""
    extra = n_components - statistics.n_components
    return change_basis(statistics, np.eye(n_components)[: -extra or None]) if extra else statistics
