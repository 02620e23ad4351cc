"""The nouns of a 3D classification: runs, their state between iterations and their results."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.errors import OptionError


class Stage(StrEnum):
    """What an iteration sees: mini-batches, all particles without the finest frequencies, all.

    The last ones slice maps whose differences are filtered by their own FSC.
    """

    ONLINE = "online"
    COARSE = "coarse"
    FULL = "full"
    LAST = "last"


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
        OptionError: where the focus mask has no voxel inside the solvent mask.
    """
    focus = np.ones_like(solvent_mask) if focus_mask is None else focus_mask
    if (solvent_mask * focus).max() < 0.5:
        raise OptionError("masks.focus", "no voxel inside the solvent mask", "an overlap")
    return Scene(jnp.asarray(mean_map), jnp.asarray(solvent_mask), jnp.asarray(focus))


def clipped_fraction(
    focus_mask: Float[np.ndarray, "d d d"], solvent_mask: Float[np.ndarray, "d d d"]
) -> float:
    """Fraction of a focus mask that lies outside the solvent mask and so has no effect."""
    return float(1 - (focus_mask * solvent_mask).sum() / max(focus_mask.sum(), 1e-12))


@dataclass(frozen=True)
class IterationRecord:
    """What one iteration of a run changed and found."""

    iteration: int  # from 1, over all stages
    stage: Stage
    particles: int  # seen in it
    log_likelihood: float  # per particle, without its constant −½|F|²
    class_similarity: float  # β
    switched: float  # fraction of the particles that changed class
    rms_change: float  # of the class maps, over the RMS of the mean map
    class_sizes: tuple[int, ...]  # by labels
    class_mass: tuple[float, ...]  # by posteriors
    ess_histogram: tuple[int, ...]
    fsc: tuple[tuple[float, ...], ...]  # of each class's half-maps, by shell
    reseeded: tuple[int, ...] = ()  # dead classes started anew after it, 0-based
    # From each class (row) of the iteration before to each (column) of this one; none where one of
    # the two saw a mini-batch only.
    flow: tuple[tuple[int, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as metrics.json and checkpoints hold them; of the last two, if any."""
        plain = {field.name: _listed(getattr(self, field.name)) for field in fields(self)}
        for name in ("reseeded", "flow"):
            if not plain[name]:
                del plain[name]
        return plain | {"stage": self.stage.value}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "IterationRecord":
        """The record of which `to_dict` gave the plain values."""
        values: dict[str, Any] = {name: _tupled(value) for name, value in plain.items()}
        values["stage"] = Stage(plain["stage"])
        return cls(**values)


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class RunState:
    """State of a run between iterations; all that a restart needs."""

    run: Run
    volumes: Float[np.ndarray, "k d d d"]  # masked, as the next E-step slices them
    class_weights: Float[np.ndarray, " k"]
    labels: Int[np.ndarray, " n"]  # -1 before the first iteration
    iteration: int = 0
    converged: bool = False
    history: tuple[IterationRecord, ...] = ()
    stage: Stage = Stage.FULL  # of its iterations over all particles
    initial_differences: tuple[float, ...] = ()  # of the first maps, see `start.differences`

    @property
    def done(self) -> int:
        """Iterations over all particles in its stage."""
        return sum(record.stage is self.stage for record in self.history)
