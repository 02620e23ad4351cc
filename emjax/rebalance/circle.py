"""Images compared inside a circle, over all in-plane rotations and small shifts.

Source: masked normalised correlation, Padfield (2012), IEEE TIP 21, 2706.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.inplane import finer_sampling, rotate_finer


class Circle(eqx.Module):
    """The circle in which images are compared; no shift wraps it onto itself."""

    mask: Float[Array, "d d"]
    transform: Complex[Array, "d h"]
    overlap: Float[Array, "m m"]
    shift: int = eqx.field(static=True)

    @classmethod
    def create(cls, box_size: int, shift: int) -> "Circle":
        """The largest circle that shifts by so many pixels leave inside the box."""
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

    def correlations(
        self, a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]
    ) -> Float[Array, "*b m m"]:
        """Normalised correlation for every shift, in the part that both circles share."""
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
        return jnp.where(usable, product / norm, 0.0)

    def peak(self, a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> Array:
        """Largest normalised correlation over the shifts, interpolated by a parabola per axis."""
        return _interpolated_peak(self.correlations(a, b))[0]

    def best_shift(
        self, a: Float[Array, "*b d d"], b: Float[Array, "*b d d"]
    ) -> Float[Array, "*b 2"]:
        """Shift t (y, x in pixels) at which a(x) and b(x − t) correlate best."""
        return (
            _interpolated_peak(self.correlations(self.spectra(a), self.spectra(b)))[1] - self.shift
        )


def _interpolated_peak(
    correlation: Float[Array, "*b m m"],
) -> tuple[Float[Array, "*b"], Float[Array, "*b 2"]]:
    """Height and place (row, column) of the largest value."""
    size = correlation.shape[-1]
    flat = correlation.reshape(*correlation.shape[:-2], -1)
    index = jnp.argmax(flat, -1)
    top = jnp.take_along_axis(flat, index[..., None], -1)[..., 0]
    place = []
    gain = jnp.zeros_like(top)
    for position, stride in ((index // size, size), (index % size, 1)):
        inside = (position > 0) & (position < size - 1)
        step = jnp.where(inside, stride, 0)
        before = jnp.take_along_axis(flat, (index - step)[..., None], -1)[..., 0]
        after = jnp.take_along_axis(flat, (index + step)[..., None], -1)[..., 0]
        curvature = 2 * top - before - after
        curved = curvature > 1e-6
        gain += jnp.where(curved, (after - before) ** 2 / (8 * curvature + 1e-12), 0.0)
        place.append(position + jnp.where(curved, (after - before) / (2 * curvature + 1e-12), 0.0))
    return jnp.minimum(top + gain, 1.0), jnp.stack(place, -1)


def best_angles(
    images: Float[Array, "k d d"] | Float[np.ndarray, "k d d"],
    pairs: Int[Array, "2 batches p"],
    circle: Circle,
    angle_step: float,
    mirror: bool = False,
) -> tuple[Float[Array, "batches p"], Float[Array, "batches p"]]:
    """Largest correlation of each pair, and the angle (rad) to rotate its second image by.

    All angles are tried at half the sampling, the best one is refined at the images' own.

    Args:
        images: averages of one box.
        pairs: first and second image of each.
        circle: in which they are compared.
        angle_step: coarse step in degrees.
        mirror: compare with the mirrored second image.
    """
    half = images.shape[-1] // 2
    coarse = Circle.create(half, max(1, round(circle.shift / 2)))
    start = coarse.standardise(jnp.asarray(shrink_images(np.asarray(images), half), jnp.float32))
    angles = _coarse_angles(start, pairs, coarse, angle_step, mirror)
    fine = circle.standardise(jnp.asarray(images, jnp.float32))
    return _refined_angles(fine, pairs, angles, circle, angle_step, mirror)


def _turnable(images: Float[Array, "k d d"], mirror: bool) -> Float[Array, "k e e"]:
    fine = finer_sampling(images)
    return mirrored(fine, images.shape[-1]) if mirror else fine


def _pick(table: tuple[Array, Array, Array], index: Array) -> tuple[Array, Array, Array]:
    return table[0][index], table[1][index], table[2][index]


@partial(jax.jit, static_argnames=("angle_step", "mirror"))
def _coarse_angles(
    images: Float[Array, "k d d"],
    pairs: Int[Array, "2 batches p"],
    circle: Circle,
    angle_step: float,
    mirror: bool,
) -> Float[Array, "batches p"]:
    """The best of equally spaced angles."""
    fixed, fine = circle.spectra(images), _turnable(images, mirror)
    n_angles = max(1, round(360 / angle_step))
    angles = 2 * jnp.pi * jnp.arange(n_angles) / n_angles

    def attempt(best: tuple[Array, Array], angle: Array) -> tuple[tuple[Array, Array], None]:
        turned = circle.spectra(rotate_finer(fine, jnp.full(len(fine), angle)))
        found = jax.lax.map(
            lambda pair: circle.peak(_pick(fixed, pair[0]), _pick(turned, pair[1])),
            (pairs[0], pairs[1]),
        )
        better = found > best[0]
        return (jnp.where(better, found, best[0]), jnp.where(better, angle, best[1])), None

    start = jnp.full(pairs.shape[1:], -1.0, images.dtype)
    best, _ = jax.lax.scan(attempt, (start, jnp.zeros_like(start)), angles)
    return best[1]


@partial(jax.jit, static_argnames=("angle_step", "mirror"))
def _refined_angles(
    images: Float[Array, "k d d"],
    pairs: Int[Array, "2 batches p"],
    angles: Float[Array, "batches p"],
    circle: Circle,
    angle_step: float,
    mirror: bool,
) -> tuple[Float[Array, "batches p"], Float[Array, "batches p"]]:
    """Correlation and angle after smaller and smaller steps."""
    fixed, fine = circle.spectra(images), _turnable(images, mirror)
    steps = jnp.array([0, -1, 1, -1 / 3, 1 / 3, -1 / 9, 1 / 9]) / 3
    nudges = jnp.deg2rad(angle_step) * steps

    def refine(args: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        first, second, angle = args

        def nudge(best: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], None]:
            trial = best[1] + step
            turned = circle.spectra(rotate_finer(fine[second], trial))
            found = circle.peak(_pick(fixed, first), turned)
            better = found > best[0]
            return (jnp.where(better, found, best[0]), jnp.where(better, trial, best[1])), None

        best, _ = jax.lax.scan(nudge, (jnp.full_like(angle, -1.0), angle), nudges)
        return best

    return jax.lax.map(refine, (pairs[0], pairs[1], angles))


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


def mirrored(fine: Float[Array, "k e e"], box_size: int) -> Float[Array, "k e e"]:
    """Mirror images of the `finer_sampling` of images: column x → 2c − x about the centre c."""
    # The plain reversal would move the centre.
    return jnp.roll(fine[:, :, ::-1], 4 * (box_size // 2) - 2 * box_size + 1, axis=2)
