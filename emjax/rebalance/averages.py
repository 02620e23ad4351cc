"""Averages of superclasses: means of class averages that were aligned to each other."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import ndimage

from emjax.imaging.inplane import finer_sampling, rotate_finer
from emjax.rebalance.affinity import circle_for
from emjax.rebalance.circle import Circle, best_angles, mirrored, shrink_images

ANGLE_STEP = 6.0  # degrees of the coarse search


def superclass_averages(
    images: Float[np.ndarray, "k d d"],
    superclass_of_class: Int[np.ndarray, " k"],
    sizes: Int[np.ndarray, " k"],
    *,
    mirror: bool = False,
    box_size: int = 64,
) -> Float[np.ndarray, "s d d"]:
    """Mean of the class averages of each superclass, weighted by their particles.

    Args:
        images: class averages; the alignment is found on a smaller box.
        superclass_of_class: 0-based, -1 excluded.
        sizes: particles of each class.
        mirror: whether mirror images may be brought together.
        box_size: in pixels, where they are aligned.

    Returns:
        One image per superclass, in the frame of its largest class.
    """
    small = shrink_images(images, box_size)
    means = []
    for superclass in range(int(superclass_of_class.max(initial=-1)) + 1):
        members = np.flatnonzero(superclass_of_class == superclass)
        members = members[np.argsort(-sizes[members], kind="stable")]
        # A superclass of classes without particles has equal weights.
        weights = np.asarray(sizes[members], float)
        weights = weights if weights.sum() > 0 else np.ones(len(members))
        means.append(_mean(images[members], small[members], weights, mirror))
    return np.stack(means).astype(np.float32)


def _mean(
    images: Float[np.ndarray, "m d d"],
    small: Float[np.ndarray, "m e e"],
    weights: Float[np.ndarray, " m"],
    mirror: bool,
) -> Float[np.ndarray, "d d"]:
    """Weighted mean of images aligned to the first one."""
    if len(images) == 1:
        return images[0]
    moves = _align(small[0], small, mirror)
    # Once more to their mean, which has less noise than the largest one.
    target = np.average(_moved(small, moves), axis=0, weights=weights).astype(np.float32)
    moves = _align(target, small, mirror)
    return np.average(_moved(images, moves, len(images[0]) / len(target)), axis=0, weights=weights)


def _align(
    target: Float[np.ndarray, "e e"], images: Float[np.ndarray, "m e e"], mirror: bool
) -> list[tuple[float, Float[np.ndarray, " 2"], bool]]:
    """Angle (rad), shift (y, x in pixels) and whether to mirror, of each image onto the target."""
    circle = circle_for(target.shape[-1])
    both = np.concatenate([target[None], images]).astype(np.float32)
    n = len(images)
    pairs = jnp.stack([jnp.zeros(n, int), jnp.arange(1, n + 1)])[:, None, :]
    value, angle = (found[0] for found in best_angles(both, pairs, circle, ANGLE_STEP))
    flip = jnp.zeros(n, bool)
    if mirror:
        other, turned = (f[0] for f in best_angles(both, pairs, circle, ANGLE_STEP, mirror=True))
        flip = other > value
        angle = jnp.where(flip, turned, angle)
    shift = _shifts(circle.standardise(jnp.asarray(both)), angle, flip, circle)
    found = zip(np.asarray(angle), np.asarray(shift), np.asarray(flip), strict=True)
    return [(float(a), np.asarray(t, float), bool(f)) for a, t, f in found]


@jax.jit
def _shifts(
    both: Float[Array, "n d d"], angle: Float[Array, " m"], flip: Array, circle: Circle
) -> Float[Array, "m 2"]:
    fine = finer_sampling(both[1:])
    fine = jnp.where(flip[:, None, None], mirrored(fine, both.shape[-1]), fine)
    turned = rotate_finer(fine, angle)
    return circle.best_shift(jnp.broadcast_to(both[:1], turned.shape), turned)


def _moved(
    images: Float[np.ndarray, "m d d"],
    moves: list[tuple[float, Float[np.ndarray, " 2"], bool]],
    scale: float = 1.0,
) -> Float[np.ndarray, "m d d"]:
    """Images after their moves; `scale` is the finer sampling than where these were found."""
    size = images.shape[-1]
    centre = np.full(2, size // 2)
    out = np.empty(images.shape, np.float32)
    for row, (image, (angle, shift, flip)) in enumerate(zip(images, moves, strict=True)):
        if flip:
            # Column x → 2c − x about the centre pixel c.
            image = np.roll(image[:, ::-1], 1 - size % 2, axis=1)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = centre - rotation @ (centre + scale * shift)
        rim = float(np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))
        # SciPy's types know an offset of one number only.
        out[row] = ndimage.affine_transform(image, rotation, offset, order=3, cval=rim)  # pyright: ignore[reportArgumentType]
    return out
