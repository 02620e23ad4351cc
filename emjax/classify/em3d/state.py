"""The nouns of a 3D classification: options, runs, their state and their results."""

from dataclasses import dataclass, field

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.imaging.symmetry import parse_point_group


@dataclass(frozen=True)
class Em3dOptions:
    """Options of a classification; lengths in Å.

    Raises:
        ValueError: where an option is out of its range or contradicts another.
    """

    initial: str = "simple"  # simple · pca · variability · input
    initial_lowpass: float = 20.0
    start_resolution: float | str | None = "auto"
    particles_per_reconstruction: int = 1000
    pca_reconstructions: int = 100
    pca_components: int = 2
    online_epochs: int = 2
    online_batch_per_class: int = 1000
    learning_rate: float = 0.4
    learning_rate_halflife: float = 0.5  # of the online iterations
    full_iterations: int = 25
    switch_convergence: float = 0.02
    rms_convergence: float = 0.01
    class_similarity: float = 0.5
    anneal_until: int = 10
    fsc_filter: bool = True
    hard: bool = False
    symmetry: str = "C1"
    highpass_resolution: float | None = None  # Å; takes effect as argument of `make_engine`
    particle_limit: int | None = None  # so does this
    reorder_by_size: bool = False
    write_each_iteration: bool = False  # what `on_iteration` of `classify` may do
    dead_class: str = "warn"  # warn · reseed

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        choices = {
            "initial": ("simple", "pca", "variability", "input"),
            "dead_class": ("warn", "reseed"),
        }
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name}: found {value!r}, expected one of {', '.join(allowed)}")
        parse_point_group(self.symmetry)
        start = self.start_resolution
        if start not in (None, "auto") and (isinstance(start, str) or not start > 0):
            raise ValueError(
                f"start_resolution: found {self.start_resolution!r}, expected auto, null or Å"
            )
        if self.reorder_by_size and self.write_each_iteration:
            raise ValueError(
                "reorder_by_size: found on together with write_each_iteration, expected one of"
                " them: the classes of an iteration have no order by size yet"
            )

    def similarity(self, iteration: int) -> float:
        """β of an iteration (from 1): falls linearly to 0 at `anneal_until`."""
        if self.anneal_until <= 0:
            return 0.0
        return self.class_similarity * max(0.0, 1 - (iteration - 1) / self.anneal_until)

    def rate(self, iteration: int, n_iterations: int) -> float:
        """Learning rate of an online iteration (from 1): halves every half-life."""
        halflife = max(self.learning_rate_halflife * n_iterations, 1e-9)
        return self.learning_rate * 0.5 ** ((iteration - 1) / halflife)


@dataclass(frozen=True)
class Run:
    """One seeded classification of a campaign."""

    n_classes: int
    seed: int


class Scene(eqx.Module):
    """What all runs share: the mean map and the masks, on the cropped box."""

    mean_map: Float[Array, "d d d"]
    solvent_mask: Float[Array, "d d d"]
    focus_mask: Float[Array, "d d d"]


def make_scene(
    mean_map: Float[np.ndarray, "d d d"],
    solvent_mask: Float[np.ndarray, "d d d"],
    focus_mask: Float[np.ndarray, "d d d"] | None = None,
) -> Scene:
    """Scene; the focus mask is everywhere 1 where none is given.

    Raises:
        ValueError: where the focus mask has no voxel inside the solvent mask.
    """
    focus = np.ones_like(solvent_mask) if focus_mask is None else focus_mask
    if (solvent_mask * focus).max() < 0.5:
        raise ValueError("masks.focus: found no voxel inside the solvent mask, expected an overlap")
    return Scene(jnp.asarray(mean_map), jnp.asarray(solvent_mask), jnp.asarray(focus))


def clipped_fraction(
    focus_mask: Float[np.ndarray, "d d d"], solvent_mask: Float[np.ndarray, "d d d"]
) -> float:
    """Fraction of a focus mask that lies outside the solvent mask and so has no effect."""
    return float(1 - (focus_mask * solvent_mask).sum() / max(focus_mask.sum(), 1e-12))


@dataclass(frozen=True)
class RunState:
    """State of a run between iterations; all that a restart needs."""

    run: Run
    volumes: Float[np.ndarray, "k d d d"]  # masked, as the next E-step slices them
    class_weights: Float[np.ndarray, " k"]
    labels: Int[np.ndarray, " n"]  # -1 before the first iteration
    iteration: int = 0
    converged: bool = False
    history: tuple[dict, ...] = ()
    flow: tuple[Int[np.ndarray, "k k"], ...] = ()
    coarse: bool = False  # whether fine frequencies still wait

    @property
    def stage(self) -> str:
        """Of its iterations over all particles."""
        return "coarse" if self.coarse else "full"


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves; maps are unmasked except `volumes`."""

    run: Run
    converged: bool
    log_likelihood: float  # mean of a particle, without its constant −½|F|²
    posteriors: Float[np.ndarray, "n k"]
    labels: Int[np.ndarray, " n"]
    volumes: Float[np.ndarray, "k d d d"]
    half_maps: Float[np.ndarray, "2 k d d d"]
    hard_maps: Float[np.ndarray, "k d d d"]
    fsc: Float[np.ndarray, "k s"]
    ess_histogram: Int[np.ndarray, " 10"]
    history: tuple[dict, ...]
    flow: tuple[Int[np.ndarray, "k k"], ...]
    warnings: tuple[str, ...]


@dataclass
class Tally:
    """What one pass over the data gathers for one run."""

    start: int  # first column of the run
    labels: Int[np.ndarray, " n"]
    mass: Float[np.ndarray, " k"]
    posteriors: Float[np.ndarray, "n k"] | None = None
    log_likelihood: float = 0.0
    ess: Int[np.ndarray, " 10"] = field(default_factory=lambda: np.zeros(10, int))
