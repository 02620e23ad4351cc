"""Images to vectors and back: masks, code vectors as images, class averages."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import linalg

from emjax.errors import InputError, OptionError


def circular_mask(box_size: int, radius: float, edge: float = 0.0) -> Float[np.ndarray, "d d"]:
    """A circle about the centre pixel with a cosine edge; radius and edge in pixels."""
    offset = np.arange(box_size) - box_size // 2
    distance = np.sqrt(np.add.outer(offset**2, offset**2))
    if edge <= 0:
        return (distance <= radius).astype(np.float32)
    ramp = np.clip((distance - radius) / edge, 0, 1)
    return (0.5 + 0.5 * np.cos(np.pi * ramp)).astype(np.float32)


class MaskedPixels:
    """The pixels inside a mask, each weighted by it: an image as a vector."""

    def __init__(self, mask: Float[np.ndarray, "d d"]) -> None:
        """The mask's weights, 0 to 1, which must not all be 0."""
        if not np.all(np.isfinite(mask)) or mask.min() < 0 or not np.any(mask > 0):
            raise OptionError(
                "mask",
                f"values of {np.nanmin(mask)} to {np.nanmax(mask)}",
                "weights of 0 to 1, some above 0",
            )
        self.mask = mask.astype(np.float32)
        # A weight near 0 cannot be divided out of a code vector again.
        self.inside: Bool[np.ndarray, "d d"] = mask > 1e-3

    @property
    def n_pixels(self) -> int:
        """Length of a vector."""
        return int(self.inside.sum())

    def vectors(self, images: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n p"]:
        """Masked images as vectors."""
        if images.shape[1:] != self.mask.shape:
            raise OptionError("mask", f"box {self.mask.shape[0]}", f"{images.shape[1]}")
        return images[:, self.inside] * self.mask[self.inside]

    def low_pass(self, fraction: float) -> Float[np.ndarray, "p m"]:
        """Orthonormal basis of the vectors of images without detail beyond a part of Nyquist."""
        d = len(self.mask)
        row, column = np.nonzero(self.inside)
        k = np.arange(int(fraction * d / 2) + 1)
        ky, kx = (axis.ravel() for axis in np.meshgrid(np.r_[-k[:0:-1], k], k, indexing="ij"))
        half_plane = (np.hypot(ky, kx) <= fraction * d / 2) & ((kx > 0) | (ky >= 0))
        ky, kx = ky[half_plane], kx[half_plane]
        wave = np.exp(2j * np.pi / d * np.outer(np.arange(d), np.arange(d))).astype(np.complex64)
        waves = wave[np.ix_(row, ky)] * wave[np.ix_(column, kx)]
        waves = np.hstack([waves.real, waves.imag])
        waves *= self.mask[self.inside][:, None]
        values, vectors = linalg.eigh(waves.T @ waves, driver="evd")
        # Waves are hardly independent inside a small mask; what they do not span is left out.
        kept = values > 2e-3 * values[-1]
        return waves @ (vectors[:, kept] / np.sqrt(values[kept]))

    def images(self, vectors: Float[np.ndarray, "c p"]) -> Float[np.ndarray, "c d d"]:
        """Vectors as masked images, 0 outside the mask."""
        out = np.zeros((len(vectors), *self.mask.shape), np.float32)
        out[:, self.inside] = vectors
        return out


def class_averages(
    blocks: Iterable[np.ndarray],
    labels: Int[np.ndarray, " n"],
    n_classes: int,
) -> Float[np.ndarray, "c d d"]:
    """Mean image of the particles of each class, a zero image where there are none.

    Args:
        blocks: the images in the order of the labels, in blocks of any length.
        labels: class of each particle, 0-based, −1 = unassigned.
        n_classes: number of averages to return.
    """
    total, count, start = None, np.zeros(n_classes), 0
    for block in blocks:
        own = labels[start : start + len(block)]
        member = (own[:, None] == np.arange(n_classes)).astype(np.float32)
        part = (member.T @ block.reshape(len(block), -1)).astype(np.float64)
        total = part if total is None else total + part
        count += member.sum(0)
        box = block.shape[1:]
        start += len(block)
    if total is None or start != len(labels):
        raise InputError(place="class averages", found=f"{start} images", expected=f"{len(labels)}")
    mean = total / np.maximum(count, 1)[:, None]
    return mean.reshape(n_classes, *box).astype(np.float32)
