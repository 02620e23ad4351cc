"""Fourier shell correlation, and the filters that follow from it."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.grids import FourierGrid, shell_segments, shell_sums
from emjax.machine import cores

TINY = 1e-20  # keeps what was never measured from being divided by zero


def fourier_shell_correlation(
    a: Complex[Array, "*k v"], b: Complex[Array, "*k v"], grid: FourierGrid
) -> Float[Array, "*k s"]:
    """Σ a·conj(b) / √(Σ|a|² Σ|b|²) over each shell; 0 where a shell is empty.

    Args:
        a: Fourier coefficients of volumes on the half grid.
        b: those of their partners.
        grid: pixels and voxels.

    Source: Harauz & van Heel, Optik 73 (1986) 146.
    """
    # Voxels on the plane x = 0 stand there with their mates, the others without.
    weights = jnp.where(grid.kxyz[:, 0] == 0, 0.5, 1.0)
    cross = shell_sums(jnp.real(a * jnp.conj(b)), grid, weights)
    power = shell_sums(jnp.abs(a) ** 2, grid, weights) * shell_sums(jnp.abs(b) ** 2, grid, weights)
    return jnp.where(power > 0, cross / jnp.sqrt(jnp.where(power > 0, power, 1)), 0)


def volume_fsc(
    a: Float[np.ndarray, "d d d"], b: Float[np.ndarray, "d d d"]
) -> Float[np.ndarray, " s"]:
    """FSC of two real-space volumes for shells 0 … d/2 − 1 (NumPy, double precision)."""
    return spectra_fsc(half_spectrum(a.astype(np.float64)), half_spectrum(b.astype(np.float64)))


def half_spectrum(volume: Float[np.ndarray, "d d d"]) -> Complex[np.ndarray, "d d h"]:
    """Transform of a real volume, kx ≥ 0, in its precision, on all cores."""
    return np.asarray(scipy.fft.rfftn(volume, workers=cores()))


def spectra_fsc(
    a: Complex[np.ndarray, "d d h"], b: Complex[np.ndarray, "d d h"]
) -> Float[np.ndarray, " s"]:
    """`volume_fsc` of half spectra."""
    d, _, h = a.shape
    sums = np.zeros((3, d // 2))
    ky = np.fft.fftfreq(d, 1 / d).astype(int)
    planes = shell_segments(ky[:, None] ** 2 + np.arange(h) ** 2, d // 2, d // 2)
    for kz, (shells, starts, places) in enumerate(planes):
        # kx = 0 stands for itself, the rest for two coefficients; Nyquist is in no shell.
        weight = np.where(places % h == 0, 1, 2).astype(np.real(a).dtype)
        for z in {kz, -kz}:
            own, other = a[z].take(places), b[z].take(places)
            cross = np.real(own) * np.real(other) + np.imag(own) * np.imag(other)
            power = (np.real(v) ** 2 + np.imag(v) ** 2 for v in (own, other))
            for total, values in zip(sums, (cross, *power), strict=True):
                total[shells] += np.add.reduceat(values * weight, starts, dtype=np.float64)
    norm = sums[1] * sums[2]
    return np.where(norm > 0, sums[0] / np.sqrt(np.where(norm > 0, norm, 1)), 0)


def randomise_phases(
    volume: Float[np.ndarray, "d d d"], shell: int, *, seed: int | Sequence[int]
) -> Float[np.ndarray, "d d d"]:
    """The volume with random phases from a shell on, amplitudes kept.

    Args:
        volume: real space.
        shell: first shell to randomise.
        seed: of the phases.
    """
    return _with_random_phases(half_spectrum(volume.astype(np.float32)), shell, seed)


def _with_random_phases(
    spectrum: Complex[np.ndarray, "d d h"], shell: int, seed: int | Sequence[int]
) -> Float[np.ndarray, "d d d"]:
    d = len(spectrum)
    k2 = np.fft.fftfreq(d, 1 / d).astype(np.float32) ** 2
    plane = k2[:, None] + np.arange(spectrum.shape[2], dtype=np.float32) ** 2
    # Phases of a real random volume have the symmetry that a real result needs.
    white = np.random.default_rng(seed).standard_normal((d, d, d), dtype=np.float32)
    noise = np.asarray(scipy.fft.rfftn(white, overwrite_x=True, workers=cores()))
    for random, kept, z2 in zip(noise, spectrum, k2, strict=True):
        random *= np.abs(kept) / np.maximum(np.abs(random), 1e-20)
        np.copyto(random, kept, where=z2 + plane < (shell - 0.5) ** 2)
    return np.asarray(scipy.fft.irfftn(noise, (d, d, d), overwrite_x=True, workers=cores()))


def corrected_fsc(
    half_maps: tuple[Float[np.ndarray, "d d d"], Float[np.ndarray, "d d d"]],
    mask: Float[np.ndarray, "d d d"],
    *,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """FSC inside a mask without what the mask itself correlates, and the FSC as it is.

    From two shells beyond the one where the unmasked FSC falls below 0.8 on, phases are replaced
    by random ones; what still correlates there is the mask's work.

    Args:
        half_maps: unmasked.
        mask: soft mask.
        seed: of the random phases.

    Returns:
        Corrected and uncorrected FSC.

    Source: Chen et al., Ultramicroscopy 135 (2013) 24, eq. 4.
    """
    masked = masked_fsc(*half_maps, mask)
    spectra = [half_spectrum(half_map) for half_map in half_maps]
    below = np.flatnonzero(spectra_fsc(spectra[0], spectra[1])[1:] < 0.8)
    start = int(below[0]) + 1 if below.size else len(masked)
    if start + 2 >= len(masked):
        return masked, masked
    # Popped: at 400 pixels a spectrum takes a quarter of a gigabyte.
    random = [_with_random_phases(spectra.pop(0), start, seed + i) for i in (0, 1)]
    mask_alone = np.minimum(masked_fsc(random[0], random[1], mask), 0.999)
    corrected = (masked - mask_alone) / (1 - mask_alone)
    return np.where(np.arange(len(masked)) >= start + 2, corrected, masked), masked


def masked_fsc(
    a: Float[np.ndarray, "d d d"], b: Float[np.ndarray, "d d d"], mask: Float[np.ndarray, "d d d"]
) -> Float[np.ndarray, " s"]:
    """FSC of two volumes times a mask, in their precision."""
    return spectra_fsc(half_spectrum(a * mask), half_spectrum(b * mask))


def wiener_precision(
    fsc: Float[Array, "*k s"], weight: Float[Array, "*k s"]
) -> Float[Array, "*k s"]:
    """Prior precision 1/τ² that makes weight/(weight + 1/τ²) the signal fraction of the full map.

    Args:
        fsc: half-map correlation of each shell.
        weight: mean data precision of each shell in the full map (both halves).

    Source: Scheres, J. Mol. Biol. 415 (2012) 406, eqs. 6 and 8, with FSC_full = 2·FSC/(1+FSC).
    """
    half = jnp.clip(fsc, 1e-3, 0.9999)
    full = 2 * half / (1 + half)
    return weight * (1 - full) / full + TINY


def flat_precision(weight: Float[Array | np.ndarray, " s"]) -> Float[Array | np.ndarray, " s"]:
    """Prior precision that hardly filters: a thousandth of what the data of a shell weigh."""
    return 1e-3 * weight + TINY


def regularised(
    numerator: Complex[Array | np.ndarray, "*k"],
    denominator: Float[Array | np.ndarray, "*k"],
    precision: Float[Array | np.ndarray, " s"],
    shells: Int[Array | np.ndarray, "*k"],
) -> Complex[Array | np.ndarray, "*k"]:
    """Coefficients num / (den + 1/τ²) of a map from its sums of back-projection.

    Args:
        numerator: Σ w·Pᵀ F.
        denominator: Σ w² PᵀP (diagonal).
        precision: 1/τ² of each shell: `wiener_precision` or `flat_precision`.
        shells: of each coefficient.
    """
    return numerator / (denominator + precision[shells])
