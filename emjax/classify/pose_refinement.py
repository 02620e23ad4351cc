"""Poses moved to where the mean map explains their images best, as far as their uncertainty allows.

Each particle's pose has a normal prior around the one that was given, whose widths for rotation and
shift are found by maximum marginal likelihood; where exact poses are as probable, nothing is moved.
Gauss-Newton steps then lead to the most probable pose. The images of a half-set see that
half-set's map only, so that half-maps stay independent.

Source: empirical Bayes by expectation-maximisation: Dempster, Laird & Rubin, J. R. Stat. Soc. B 39
(1977) 1; independent half-sets: Scheres & Chen, Nat. Methods 9 (2012) 853.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.evidence import Interval, block_interval
from emjax.classify.fit import N_COORDINATES, Target, as_real, make_target, slice_target
from emjax.classify.pose_error import PoseError
from emjax.classify.pose_search import limit_steps, turn_poses
from emjax.imaging.grids import FourierGrid, to_fourier, to_real
from emjax.imaging.particles import CHUNK, Particles, chunks, weights_of
from emjax.imaging.prepare import MeanMap, Prepared, PrepareOptions, move_poses, reweigh

ROUNDS = 3  # of poses and the maps they are compared with
STEPS = 3  # to the most probable poses in a round
WIDTH_STEPS = 8  # of expectation-maximisation
WIDTH_PARTICLES = 20_000  # that the widths are found from
LARGE = 6.0  # degrees; beyond, something else is probably wrong


@dataclass(frozen=True)
class Refinement:
    """How far off the poses were, and how far they were moved."""

    width: PoseError | None  # of the prior; None, poses are exact as far as the images show
    gain: Interval | None  # in log-likelihood over exact poses, of those asked; None, not asked
    rotation: float = 0.0  # degrees, root mean square of the moves
    shift: float = 0.0  # Å

    def record(self) -> dict[str, Any]:
        """What poses.json holds."""
        return {
            "pose_error": self.width and self.width.record(),
            "gain": self.gain and asdict(self.gain),
            "moved_degrees": self.rotation,
            "moved_angstrom": self.shift,
        }


class _Step(NamedTuple):
    """Of each particle at its pose: where to go, how sure that is, and the evidence."""

    coordinates: Float[np.ndarray, "n 6"]  # to add, in prior widths
    variance: Float[np.ndarray, "n 6"]  # of the posterior
    gain: Float[np.ndarray, " n"]  # in marginal log-likelihood over exact poses


def describe_poses(found: Refinement) -> list[str]:
    """How far the poses were off, in a sentence."""
    if found.width is None:
        return ["no error of the poses shows in the images"] if found.gain else []
    angle = found.width.rotation * np.sqrt(3)
    said = [
        f"poses off by about {angle:.1f}° and {found.width.shift * np.sqrt(2):.1f} Å; refined by"
        f" {found.rotation:.1f}° and {found.shift:.1f} Å (root mean square)"
    ]
    if angle > LARGE:
        said.append(
            f"warning: poses off by {angle:.0f}° on average are rare after a refinement; check that"
            " they belong to these images, and the symmetry"
        )
    return said


def first_width(particles: Particles) -> PoseError:
    """Widths that the search for the right ones starts from: what moves fine features a little."""
    return PoseError(
        np.degrees(1 / (3 * particles.radius)), particles.extent / particles.radius / 8
    )


def refine_poses(
    prepared: Prepared,
    option: str | PoseError,
    preparation: PrepareOptions,
    blocks: np.ndarray | None = None,
) -> tuple[Prepared, Refinement]:
    """Particles at better poses, with noise, scales and mean map made again.

    Args:
        prepared: particles; those of weight 0 move as the others, and count nowhere.
        option: `auto` finds the uncertainty of the poses, `off` takes them as exact.
        preparation: options that `prepare` had.
        blocks: micrograph of each particle, for the interval of the gain.
    """
    if option == "off":
        return prepared, Refinement(None, None)
    width, gain = find_width(prepared, blocks) if option == "auto" else (option, None)
    if not isinstance(width, PoseError):
        return prepared, Refinement(None, gain)
    given, shifts = prepared.particles.rotations, prepared.shifts
    offset = np.zeros((prepared.particles.n, N_COORDINATES))
    used = prepared.particles.weight > 0
    for _ in range(ROUNDS):
        prepared, offset, variance = _round(prepared, width, offset)
        prepared = reweigh(prepared, prepared.particles.weight, preparation)
        if option == "auto":
            # Sharper maps show more of what poses are off by.
            wider = _widened(width, (offset**2 + variance)[used])
            offset, width = offset * _ratios(width, wider), wider
    cosine = (np.einsum("nij,nij->n", given, prepared.particles.rotations) - 1) / 2
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))[used]
    distance = np.linalg.norm(prepared.shifts - shifts, axis=1)[used]
    moved = (float(np.sqrt(np.mean(x**2))) for x in (angle, distance))
    return prepared, Refinement(width, gain, *moved)


def find_width(
    prepared: Prepared, blocks: np.ndarray | None = None
) -> tuple[PoseError | None, Interval]:
    """Widths of the pose error by marginal likelihood, None where exact poses are as probable."""
    # Images that overlap have noise in common.
    blocks = prepared.overlap if blocks is None else blocks
    used = np.flatnonzero(prepared.particles.weight > 0)
    # Evenly over the set: two numbers need no more.
    used = used[:: max(1, len(used) // WIDTH_PARTICLES)]
    particles = prepared.particles.subset(used)
    some, width = replace(prepared, particles=particles), first_width(particles)
    gain = None
    for _ in range(WIDTH_STEPS):
        step = _steps(some, width, np.zeros((particles.n, N_COORDINATES)))
        gain = block_interval(step.gain, blocks[used])
        width = _widened(width, step.coordinates**2 + step.variance)
    assert gain is not None
    return (width if gain.low > 0 else None), gain


def _widened(width: PoseError, square: Float[np.ndarray, "n 6"]) -> PoseError:
    """Widths of which the expected squares of the coordinates are 1."""
    mean = square.mean(0)
    rotation, shift = (float(np.sqrt(part.mean())) for part in (mean[3:], mean[:3]))
    return PoseError(width.rotation * rotation, width.shift * shift)


def _ratios(before: PoseError, after: PoseError) -> Float[np.ndarray, " 6"]:
    """Of the units of coordinates."""
    return np.repeat([before.shift / after.shift, before.rotation / after.rotation], 3)


def _round(
    prepared: Prepared, width: PoseError, offset: Float[np.ndarray, "n 6"]
) -> tuple[Prepared, Float[np.ndarray, "n 6"], Float[np.ndarray, "n 6"]]:
    """Steps to the most probable poses, against the half-maps as they are."""
    variance = np.zeros(offset.shape)
    for _ in range(STEPS):
        step = _steps(prepared, width, offset)
        move, variance = step.coordinates, step.variance
        move = limit_steps(move)
        offset = offset + move
        rotations, moves = turn_poses(prepared.particles.rotations, move, width)
        prepared = move_poses(prepared, rotations, moves, np.arange(prepared.particles.n))
    return prepared, offset, variance


def _steps(prepared: Prepared, width: PoseError, offset: Float[np.ndarray, "n 6"]) -> _Step:
    """Of every particle, against the map of its own half-set."""
    particles, grid = prepared.particles, prepared.particles.grid
    found = _Step(np.empty(offset.shape), np.empty(offset.shape), np.empty(len(offset)))
    for half in (1, 2):
        target = _half_target(prepared.mean, half, particles, width)
        members = np.flatnonzero(particles.half == half)
        size = min(CHUNK, len(members))
        for rows in chunks(len(members), size):
            own = members[rows]
            part = particles.take(members[np.resize(rows, size)])
            made = _step(
                jnp.asarray(part.images),
                weights_of(part, grid),
                jnp.asarray(part.rotations),
                jnp.asarray(offset[members[np.resize(rows, size)]], jnp.float32),
                target,
                grid,
            )
            for column, values in zip(found, made, strict=True):
                column[own] = np.asarray(values)[: len(rows)]
    return found


def _half_target(mean: MeanMap, half: int, particles: Particles, width: PoseError) -> Target:
    """Map of a half-set, filtered by its FSC with the other, and its derivatives."""
    volume = _filtered(jnp.asarray(mean.half_maps[half - 1]), jnp.asarray(mean.fsc), particles.grid)
    return make_target(np.asarray(volume)[None], mean.solvent_mask, particles, width)


@eqx.filter_jit
def _filtered(
    volume: Float[Array, "d d d"], fsc: Float[Array, " s"], grid: FourierGrid
) -> Float[Array, "d d d"]:
    return to_real(to_fourier(volume, grid) * jnp.clip(fsc, 0, 1)[grid.voxel_shells], grid)


@eqx.filter_jit
def _step(
    images: Complex[Array, "b p"],
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    offset: Float[Array, "b 6"],
    target: Target,
    grid: FourierGrid,
) -> tuple[Float[Array, "b 6"], Float[Array, "b 6"], Float[Array, " b"]]:
    """Newton step of −½|r − J·u|² − ½|offset + u|², its posterior variance, and the evidence."""
    models, nuisance = slice_target(weights, rotations, target, grid)
    residual = as_real(images) - models[0]
    along = jnp.einsum("mbt,bt->bm", nuisance, residual)
    system = jnp.einsum("mbt,nbt->bmn", nuisance, nuisance) + jnp.eye(N_COORDINATES)
    inverse = jnp.linalg.inv(system)
    move = jnp.einsum("bmn,bn->bm", inverse, along - offset)
    gain = 0.5 * jnp.einsum("bm,bmn,bn->b", along, inverse, along)
    gain = gain - 0.5 * jnp.linalg.slogdet(system)[1]
    return move, jnp.diagonal(inverse, axis1=1, axis2=2), gain
