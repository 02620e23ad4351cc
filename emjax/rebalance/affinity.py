"""Affinity between references: class averages or volumes."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.inplane import finer_sampling, rotate_finer


def volume_affinity(
    volumes: Float[Array, "k d d d"] | Float[np.ndarray, "k d d d"],
    mask: Float[Array, "e e e"] | Float[np.ndarray, "e e e"] | None = None,
) -> Float[np.ndarray, "k k"]:
    """Correlation of every two volumes inside a soft mask, negative values set to 0.

    Args:
        volumes: Volumes in a common frame; they are not aligned here.
        mask: Weight of each voxel, 0 to 1; None weighs all voxels equally.

    Returns:
        Symmetric matrix in 0..1 with diagonal 1; a constant volume has affinity 0 to all others.

    Raises:
        ValueError: If the mask is empty or of another box.
    """
    flat = np.asarray(volumes, dtype=np.float64).reshape(len(volumes), -1)
    weight = np.ones(flat.shape[1]) if mask is None else np.asarray(mask, np.float64).reshape(-1)
    if weight.size != flat.shape[1]:
        raise ValueError(f"mask: has {weight.size} voxels, the volumes have {flat.shape[1]}")
    if not np.all(weight >= 0) or weight.sum() == 0:
        raise ValueError("mask: needs weights of 0 or more, of which some are above 0")
    with jax.enable_x64(True):
        return _finish(np.asarray(_correlate(flat, weight)))


@jax.jit
def _correlate(
    flat: Float[np.ndarray, "k v"] | Float[Array, "k v"],
    weight: Float[np.ndarray, " v"] | Float[Array, " v"],
) -> Float[Array, "k k"]:
    """Weighted correlation of every two rows; 0 where one is constant."""
    centred = (flat - (flat @ weight / weight.sum())[:, None]) * jnp.sqrt(weight)
    covariance = jnp.einsum("iv,jv->ij", centred, centred)
    scale = jnp.sqrt(jnp.diag(covariance))
    # A constant volume keeps rounding noise only: do not blow it up to a correlation.
    constant = scale <= 1e-12 * (jnp.abs(flat) @ weight + jnp.finfo(float).tiny)
    scale = jnp.where(constant, jnp.inf, scale)
    return covariance / jnp.outer(scale, scale)


def image_affinity(
    images: Float[Array, "k d d"] | Float[np.ndarray, "k d d"],
    *,
    mirror: bool = False,
    max_shift: float | None = None,
    angle_step: float = 6.0,
    pairs_per_batch: int = 256,
) -> Float[np.ndarray, "k k"]:
    """Normalised correlation of every two images, maximised over in-plane rotation and shift.

    Correlations are normalised in the part that both shifted circles share, so a shift past the
    background costs nothing. Each pair's best coarse angle is refined, and the peak interpolated.

    Args:
        images: 2D class averages, already at the box where they should be compared (about 64 px).
        mirror: Also compare with the mirrored image.
        max_shift: Largest shift in pixels; None takes an eighth of the box.
        angle_step: Coarse step of the in-plane angle in degrees.
        pairs_per_batch: Pairs correlated at once; changes memory only.

    Returns:
        Symmetric matrix in 0..1 with diagonal 1; an empty image has affinity 0 to all others.

    Source: masked normalised correlation, Padfield (2012), IEEE TIP 21, 2706.
    """
    n_images, box_size = len(images), images.shape[-1]
    shift = int(round(box_size / 8 if max_shift is None else max_shift))
    if not 0 <= shift <= box_size // 4:
        raise ValueError(f"max_shift: found {shift} px, expected 0 to {box_size // 4} (box / 4)")
    affinity = np.eye(n_images)
    first, second = np.triu_indices(n_images, 1)
    if first.size == 0:
        return affinity
    circle = _Circle.create(box_size, shift)
    normalised = circle.standardise(jnp.asarray(images, jnp.float32))
    n_pad = -first.size % min(pairs_per_batch, first.size)
    pairs = jnp.asarray(np.pad(np.stack([first, second]), ((0, 0), (0, n_pad)))).reshape(
        2, -1, min(pairs_per_batch, first.size)
    )
    best = _best_correlation(normalised, pairs, circle, angle_step)
    if mirror:
        flipped = _best_correlation(normalised, pairs, circle, angle_step, mirror=True)
        best = jnp.maximum(best, flipped)
    affinity[first, second] = np.asarray(best, np.float64).reshape(-1)[: first.size]
    return _finish(np.maximum(affinity, affinity.T))


def shrink_images(
    images: Float[np.ndarray, "k d d"], box_size: int = 64
) -> Float[np.ndarray, "k e e"]:
    """Images on a smaller box of the same extent by cropping their transforms; never enlarged."""
    full = images.shape[-1]
    if full <= box_size:
        return images.astype(np.float32)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, (1, 2))), (1, 2))
    first = full // 2 - box_size // 2
    part = spectrum[:, first : first + box_size, first : first + box_size]
    small = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(part, (1, 2))), (1, 2)).real
    return (small * (box_size / full) ** 2).astype(np.float32)


def _finish(correlation: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    affinity = np.clip((correlation + correlation.T) / 2, 0.0, 1.0)
    np.fill_diagonal(affinity, 1.0)
    return affinity


class _Circle(eqx.Module):
    """The circle in which images are compared; no shift wraps it onto itself."""

    mask: Float[Array, "d d"]
    transform: Complex[Array, "d h"]
    overlap: Float[Array, "m m"]
    shift: int = eqx.field(static=True)

    @classmethod
    def create(cls, box_size: int, shift: int) -> "_Circle":
        offset = np.arange(box_size) - box_size // 2
        radius = (box_size - shift) / 2 - 1
        mask = jnp.asarray(np.add.outer(offset**2, offset**2) <= radius**2, jnp.float32)
        transform = jnp.fft.rfft2(mask)
        circle = cls(mask, transform, jnp.ones((2 * shift + 1,) * 2), shift)
        overlap = jnp.maximum(circle.correlate(transform, transform), 1.0)
        return cls(mask, transform, overlap, shift)

    def standardise(self, images: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
        """Mean 0 and variance 1 inside the circle; an empty image stays 0."""
        size = jnp.sum(self.mask)
        mean = jnp.sum(images * self.mask, (1, 2), keepdims=True) / size
        centred = images - mean
        power = jnp.sum(centred**2 * self.mask, (1, 2), keepdims=True) / size
        # Float32 rounding of a constant image is no contrast.
        empty = power <= 1e-10 * (mean**2 + jnp.finfo(jnp.float32).tiny)
        return jnp.where(empty, 0.0, centred / jnp.sqrt(jnp.where(empty, 1.0, power)))

    def correlate(
        self, a: Complex[Array, "*#b d h"], b: Complex[Array, "*#b d h"]
    ) -> Float[Array, "... m m"]:
        """Σ_x a(x) b(x − t) for every shift t up to the largest."""
        box_size = self.mask.shape[0]
        full = jnp.fft.irfft2(a * jnp.conj(b), s=(box_size, box_size))
        window = jnp.arange(-self.shift, self.shift + 1) % box_size
        return full[..., window, :][..., window]

    def spectra(self, images: Float[Array, "*b d d"]) -> tuple[Array, Array, Array]:
        """Transform of the masked images, and their sums and squares inside the other circle."""
        masked = images * self.mask
        transform = jnp.fft.rfft2(masked)
        square = jnp.fft.rfft2(masked**2)
        return (
            transform,
            self.correlate(transform, self.transform),
            self.correlate(square, self.transform),
        )

    def peak(self, a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> Array:
        """Largest normalised correlation over the shifts, interpolated by a parabola per axis."""
        transform_a, sum_a, square_a = a
        transform_b, sum_b, square_b = b
        # Both tables hold Σ f(x) m(x − t); seen from b the circle of a lies at −t.
        sum_b, square_b = sum_b[..., ::-1, ::-1], square_b[..., ::-1, ::-1]
        product = self.correlate(transform_a, transform_b) - sum_a * sum_b / self.overlap
        variance_a = square_a - sum_a**2 / self.overlap
        variance_b = square_b - sum_b**2 / self.overlap
        # The whole circle has variance 1; a part without contrast correlates with nothing.
        floor = 0.05 * self.overlap
        usable = (variance_a > floor) & (variance_b > floor)
        norm = jnp.sqrt(jnp.where(usable, variance_a * variance_b, 1.0))
        return _interpolated_peak(jnp.where(usable, product / norm, 0.0))


def _interpolated_peak(correlation: Float[Array, "*b m m"]) -> Float[Array, "*b"]:
    size = correlation.shape[-1]
    flat = correlation.reshape(*correlation.shape[:-2], -1)
    index = jnp.argmax(flat, -1)
    top = jnp.take_along_axis(flat, index[..., None], -1)[..., 0]
    row, column = index // size, index % size
    gain = jnp.zeros_like(top)
    for position, stride in ((row, size), (column, 1)):
        inside = (position > 0) & (position < size - 1)
        step = jnp.where(inside, stride, 0)
        before = jnp.take_along_axis(flat, (index - step)[..., None], -1)[..., 0]
        after = jnp.take_along_axis(flat, (index + step)[..., None], -1)[..., 0]
        curvature = 2 * top - before - after
        gain += jnp.where(curvature > 1e-6, (after - before) ** 2 / (8 * curvature + 1e-12), 0.0)
    return jnp.minimum(top + gain, 1.0)


@partial(jax.jit, static_argnames=("angle_step", "mirror"))
def _best_correlation(
    images: Float[Array, "k d d"],
    pairs: Int[Array, "2 batches p"],
    circle: _Circle,
    angle_step: float,
    mirror: bool = False,
) -> Float[Array, "batches p"]:
    box_size = images.shape[-1]
    fixed = circle.spectra(images)
    fine = finer_sampling(images)
    if mirror:
        # Column x → 2c − x about the centre c, which the plain reversal would move.
        fine = jnp.roll(fine[:, :, ::-1], 4 * (box_size // 2) - 2 * box_size + 1, axis=2)
    n_angles = max(1, round(360 / angle_step))
    angles = 2 * jnp.pi * jnp.arange(n_angles) / n_angles

    nudges = jnp.deg2rad(angle_step) * jnp.array([-1, 1, -1 / 3, 1 / 3, -1 / 9, 1 / 9]) / 3

    def pick(table: tuple[Array, Array, Array], index: Array) -> tuple[Array, Array, Array]:
        return table[0][index], table[1][index], table[2][index]

    def coarse(best: tuple[Array, Array], angle: Array) -> tuple[tuple[Array, Array], None]:
        turned = circle.spectra(rotate_finer(fine, jnp.full(len(fine), angle)))
        found = jax.lax.map(
            lambda pair: circle.peak(pick(fixed, pair[0]), pick(turned, pair[1])),
            (pairs[0], pairs[1]),
        )
        better = found > best[0]
        return (jnp.where(better, found, best[0]), jnp.where(better, angle, best[1])), None

    start = jnp.full(pairs.shape[1:], -1.0, images.dtype)
    best, _ = jax.lax.scan(coarse, (start, jnp.zeros_like(start)), angles)

    def refine(args: tuple[Array, Array, Array, Array]) -> Array:
        first, second, value, angle = args

        def nudge(best: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], None]:
            trial = best[1] + step
            turned = circle.spectra(rotate_finer(fine[second], trial))
            found = circle.peak(pick(fixed, first), turned)
            better = found > best[0]
            return (jnp.where(better, found, best[0]), jnp.where(better, trial, best[1])), None

        best, _ = jax.lax.scan(nudge, (value, angle), nudges)
        return best[0]

    return jax.lax.map(refine, (pairs[0], pairs[1], *best))
