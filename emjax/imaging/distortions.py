"""What images went through beyond their CTF, undone: one model of a real CTF then serves all.

An image whose recorded transform is F(k) = exp(iφ(Mk))·C(Mk)·V(AᵀMk) becomes C(k)·V(Aᵀk): the
odd aberrations φ turn phases only, and the magnification matrix M moves frequencies by a few per
cent, so that noise stays as white as it was. Images whose phases were flipped, or that were
multiplied by their CTF, become as they were recorded.

Source: Zivanov, Nakane & Scheres, IUCrJ 7 (2020) 253.
"""

from dataclasses import dataclass
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.ctf import CTF, evaluate_ctf
from emjax.imaging.grids import real_transforms
from emjax.imaging.phases import phase_factors
from emjax.machine import cores

# Below it a multiplied image has hardly any signal, and rounding or the edge of a larger box shows.
LEAST_CTF = 0.03
FLIPPED, MULTIPLIED = 1, 2


@dataclass(frozen=True)
class Distortions:
    """Of n images of one box and pixel size."""

    odd: Float[np.ndarray, "n 6"]  # rad·Å: k·cos θ, k·sin θ; rad·Å³: k³ of cos θ, sin θ, cos 3θ, …
    magnification: Float[np.ndarray, "n 4"]  # M, by rows
    applied: Int[np.ndarray, " n"]  # 0 as recorded, FLIPPED or MULTIPLIED by the CTF
    ctf: CTF
    shifts: Float[np.ndarray, "n 2"]  # origins in Å
    pixel_size: float  # Å

    @property
    def any(self) -> bool:
        """Whether an image is not as the model has it."""
        return bool(self.odd.any() or self.applied.any() or self._magnified.any())

    @property
    def _magnified(self) -> np.ndarray:
        return (self.magnification != np.array([1, 0, 0, 1])).any(1)

    def undo(
        self, rows: Int[np.ndarray, " m"], images: Float[np.ndarray, "m d d"]
    ) -> Float[np.ndarray, "m d d"]:
        """Images of given rows as a microscope without odd aberrations records them."""
        # Of multiplied images a common offset would be divided by a small CTF.
        images, centre = self._straightened(rows, images - images.mean((1, 2), keepdims=True))
        if not (self.odd[rows].any() or self.applied[rows].any() or centre.any()):
            return images
        box_size = images.shape[-1]
        factors = _factors(
            jnp.asarray(self.odd[rows], jnp.float32),
            jnp.asarray(centre, jnp.float32),
            jnp.asarray(self.applied[rows], jnp.int32),
            jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), self.ctf.take(rows)),
            box_size,
            jnp.float32(box_size * self.pixel_size),
        )
        spectra = real_transforms(images) * np.asarray(factors).reshape(len(rows), box_size, -1)
        undone = scipy.fft.irfft2(spectra, images.shape[1:], workers=cores())
        return np.asarray(undone, images.dtype)

    def _straightened(
        self, rows: Int[np.ndarray, " m"], images: Float[np.ndarray, "m d d"]
    ) -> tuple[Float[np.ndarray, "m d d"], Float[np.ndarray, "m 2"]]:
        """Images at equal magnification, and by how much (Å) the particles then want moving."""
        centre = np.zeros((len(rows), 2))
        magnified = self._magnified[rows]
        if not magnified.any():
            return images, centre
        images = images.copy()
        for matrix in np.unique(self.magnification[rows[magnified]], axis=0):
            own = np.flatnonzero((self.magnification[rows] == matrix).all(1))
            m = matrix.reshape(2, 2)
            images[own] = straighten(images[own], m)
            # The origin is that of the image as it was.
            origins = self.shifts[rows[own]]
            centre[own] = origins - origins @ np.linalg.inv(m)
        return images, centre


def straighten(
    images: Float[np.ndarray, "m d d"], matrix: Float[np.ndarray, "2 2"]
) -> Float[np.ndarray, "m d d"]:
    """Images whose frequency M·k is that of the given ones at k, by band-limited interpolation.

    In real space they are |det M|·f(Mᵀx) about the box centre: two shears and a stretch.
    """
    (a, b), (c, d) = matrix.T
    images = _sheared(images, c / a, axis=1)
    along_x, along_y = (_stretch(images.shape[1], s) for s in (float(a), float(d - b * c / a)))
    images = along_y @ images @ along_x.T
    return np.float32(abs(np.linalg.det(matrix))) * _sheared(images, b / a, axis=2)


def _sheared(images: np.ndarray, slope: float, axis: int) -> np.ndarray:
    """Images read along an axis (1, y; 2, x) at slope times the other coordinate further."""
    if slope == 0:
        return images
    size = images.shape[1]
    cycles = slope * np.outer(np.arange(size) - size // 2, scipy.fft.rfftfreq(size))
    phases = np.exp(2j * np.pi * cycles).astype(np.complex64)
    spectra = np.asarray(scipy.fft.rfft(images, axis=axis, workers=cores()))
    spectra = spectra * (phases if axis == 2 else phases.T)
    return np.asarray(scipy.fft.irfft(spectra, size, axis=axis, workers=cores()))


@lru_cache(maxsize=32)
def _stretch(size: int, factor: float) -> Float[np.ndarray, "d d"]:
    """Matrix that reads a band-limited row at `factor` times its coordinates about the centre."""
    offset = np.arange(size) - size // 2
    cycles = (factor * offset[:, None] - offset) / size
    terms = 2 * ((size - 1) // 2) + 1
    below = np.sin(np.pi * cycles)
    whole = np.abs(below) < 1e-9
    kernel = np.where(whole, terms, np.sin(terms * np.pi * cycles) / np.where(whole, 1, below))
    return (kernel / size).astype(np.float32)


@eqx.filter_jit
def _factors(
    odd: Float[Array, "m 6"],
    centre: Float[Array, "m 2"],
    applied: Int[Array, " m"],
    ctf: CTF,
    box_size: int,
    extent: Float[Array, ""],
) -> Complex[Array, "m p"]:
    """What half spectra are multiplied with: conjugate phases, and the CTF taken out."""
    ky, kx = jnp.meshgrid(
        jnp.fft.fftfreq(box_size, 1 / box_size), jnp.arange(box_size // 2 + 1), indexing="ij"
    )
    x, y = kx.ravel() / extent, ky.ravel() / extent
    phase = jnp.matmul(odd, odd_phases(x, y), precision="highest")
    phase = phase - 2 * jnp.pi * jnp.matmul(centre, jnp.stack([x, y]), precision="highest")
    contrast = evaluate_ctf(ctf.undamped, x, y)
    taken_out = jnp.where(
        applied[:, None] == FLIPPED,
        jnp.where(contrast < 0, -1.0, 1.0),
        contrast / jnp.maximum(contrast**2, LEAST_CTF**2),
    )
    return jnp.where(applied[:, None] > 0, taken_out, 1.0) * phase_factors(-phase)


def odd_phases(x: Float[Array, " p"], y: Float[Array, " p"]) -> Float[Array, "6 p"]:
    """k·cos θ, k·sin θ, k³·cos θ, k³·sin θ, k³·cos 3θ and k³·sin 3θ."""
    k2 = x**2 + y**2
    return jnp.stack([x, y, k2 * x, k2 * y, x**3 - 3 * x * y**2, 3 * x**2 * y - y**3])
