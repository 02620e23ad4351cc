"""How well volumes explain an image at its pose and at the poses near it.

F ≈ a·(CPV + Σ u_m CPD_m) + noise of the image's own variance, D the derivatives of the volume by
pose. Amplitude a and coordinates u (of unit prior width) maximise the likelihood; what is compared
with it is a = 0, no particle here.

Source: the profile likelihood of a linear model of unknown variance; its signed root:
Barndorff-Nielsen, Biometrika 73 (1986) 307.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.pose_error import PoseError, nuisance_coefficients
from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import CHUNK, Particles, chunks, weights_of
from emjax.imaging.phases import shift_phases
from emjax.imaging.projector import make_slices, slice_volume

N_COORDINATES = 6  # three shifts, three rotations
AMPLITUDES = (0.2, 3.0)  # of which the prior width of u is a multiple


class Target(eqx.Module):
    """Volumes to compare images with, and the derivatives of their mean by pose."""

    volumes: Complex[Array, "k v"]
    derivatives: Complex[Array, "6 v"]


@dataclass(frozen=True)
class Fit:
    """How well each of k volumes explains each image, at the best pose near the given one."""

    score: Float[np.ndarray, "n k"]  # signed root of twice the log-likelihood ratio
    amplitude: Float[np.ndarray, "n k"]  # 1 where the image is as strong as the volume says
    coordinates: Float[np.ndarray, "n k 6"]  # of the pose, in prior widths

    @property
    def best(self) -> Float[np.ndarray, " n"]:
        """Score of the volume that fits best."""
        return self.score.max(1)

    @property
    def log_likelihood_ratio(self) -> Float[np.ndarray, " n"]:
        """Of the best volume against no particle, in nats; below 0 where the image opposes it."""
        return np.sign(self.best) * 0.5 * self.best**2


def make_target(
    volumes: Float[np.ndarray, "k d d d"],
    mask: Float[np.ndarray, "d d d"],
    particles: Particles,
    width: PoseError | None = None,
) -> Target:
    """Volumes inside the mask, with the derivatives of their mean.

    Args:
        volumes: of the cropped box.
        mask: solvent mask.
        particles: that will be compared with them.
        width: prior standard deviations of the poses.
    """
    grid, width = particles.grid, width or PoseError()
    mean = volumes.mean(0)
    derivatives = nuisance_coefficients(mean, mask, grid, particles.voxel_size, width)
    return Target(slicing_values(jnp.asarray(volumes * mask), grid), derivatives)


def fit_particles(
    particles: Particles, target: Target, moves: Float[np.ndarray, "n 2"] | None = None
) -> Fit:
    """Fit of every particle to every volume of a target.

    Args:
        particles: at their poses.
        target: volumes, and derivatives by pose.
        moves: Å, added to the particles' origins; none where None.
    """
    # The amplitude is sought, so what was found before must not stand in the weights.
    particles = replace(particles, scale=np.ones(particles.n, np.float32))
    grid, size = particles.grid, min(CHUNK, particles.n)
    parts = []
    for rows in chunks(particles.n, size):
        filled = np.resize(rows, size)
        part = particles.take(filled)
        images = jnp.asarray(part.images)
        if moves is not None:
            images = images * shift_phases(
                jnp.asarray(moves[filled], jnp.float32), grid, particles.extent
            )
        fitted = _fit(
            images,
            weights_of(part, grid),
            jnp.asarray(part.rotations),
            target,
            grid,
        )
        parts.append([np.asarray(x)[: len(rows)] for x in fitted])
    return Fit(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@eqx.filter_jit
def _fit(
    images: Complex[Array, "b p"],
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    target: Target,
    grid: FourierGrid,
) -> tuple[Float[Array, "b k"], Float[Array, "b k"], Float[Array, "b k 6"]]:
    models, nuisance = slice_target(weights, rotations, target, grid)
    pixels = as_real(images)
    power = jnp.sum(pixels**2, -1)
    inner = jnp.einsum("kbt,bt->bk", models, pixels)
    own = jnp.einsum("kbt,kbt->bk", models, models)
    along = jnp.einsum("mbt,bt->bm", nuisance, pixels)
    cross = jnp.einsum("kbt,mbt->bkm", models, nuisance)
    gram = jnp.einsum("mbt,nbt->bmn", nuisance, nuisance)
    # The coordinates of a weak particle stand with a small factor: so does their prior.
    scale = jnp.clip(inner / jnp.maximum(own, 1e-20), *AMPLITUDES)
    noise = (power[:, None] - inner**2 / jnp.maximum(own, 1e-20)) / pixels.shape[-1]
    prior = jnp.maximum(noise, 1e-20) / scale**2
    system = gram[:, None] + prior[..., None, None] * jnp.eye(N_COORDINATES)
    right = jnp.stack([cross, jnp.broadcast_to(along[:, None], cross.shape)], -1)
    solved = jnp.linalg.solve(system, right)
    left_power = own - jnp.sum(cross * solved[..., 0], -1)
    left_inner = inner - jnp.sum(cross * solved[..., 1], -1)
    amplitude = left_inner / jnp.maximum(left_power, 1e-20)
    gained = amplitude * left_inner + jnp.sum(along[:, None] * solved[..., 1], -1)
    coordinates = (solved[..., 1] - amplitude[..., None] * solved[..., 0]) / scale[..., None]
    share = jnp.clip(gained / jnp.maximum(power, 1e-20)[:, None], 0, 1 - 1e-6)
    score = jnp.sign(amplitude) * jnp.sqrt(-pixels.shape[-1] * jnp.log1p(-share))
    return score, amplitude, coordinates


def slice_target(
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    target: Target,
    grid: FourierGrid,
) -> tuple[Float[Array, "k b t"], Float[Array, "6 b t"]]:
    """CPV of the volumes of a target and of its derivatives."""
    slices, k = make_slices(rotations, grid), len(target.volumes)
    volumes = jnp.concatenate([target.volumes, target.derivatives])
    sliced = jax.lax.map(lambda v: as_real(weights * slice_volume(v, slices)), volumes)
    return sliced[:k], sliced[k:]


def as_real(pixels: Complex[Array, "b p"]) -> Float[Array, "b t"]:
    """Real parts of pixels, then imaginary ones."""
    return jnp.concatenate([pixels.real, pixels.imag], -1)
