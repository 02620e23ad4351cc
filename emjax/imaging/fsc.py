"""Fourier shell correlation, and the filters that follow from it."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.grids import FourierGrid, shell_sums

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
    d = a.shape[0]
    fa, fb = np.fft.rfftn(a.astype(np.float64)), np.fft.rfftn(b.astype(np.float64))
    axis = np.fft.fftfreq(d, 1 / d)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + np.arange(d // 2 + 1) ** 2)
    shell = np.round(radius).astype(int).ravel()
    # x = 0 and, in even boxes, Nyquist stand for themselves, the rest for two coefficients.
    weight = np.full(fa.shape, 2.0)
    weight[..., 0] = 1
    if d % 2 == 0:
        weight[..., -1] = 1

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(shell, (values * weight).ravel(), shell.max() + 1)[: d // 2]

    cross = sums((fa * fb.conj()).real)
    power = sums(np.abs(fa) ** 2) * sums(np.abs(fb) ** 2)
    return np.where(power > 0, cross / np.sqrt(np.where(power > 0, power, 1)), 0)


def randomise_phases(
    volume: Float[np.ndarray, "d d d"], shell: int, *, seed: int | Sequence[int]
) -> Float[np.ndarray, "d d d"]:
    """The volume with random phases from a shell on, amplitudes kept.

    Args:
        volume: real space.
        shell: first shell to randomise.
        seed: of the phases.
    """
    d = volume.shape[0]
    spectrum = np.asarray(scipy.fft.rfftn(volume.astype(np.float32)))
    axis = np.fft.fftfreq(d, 1 / d).astype(np.float32)
    radius2 = axis[:, None, None] ** 2 + axis[:, None] ** 2
    radius2 = radius2 + np.arange(d // 2 + 1, dtype=np.float32) ** 2
    # Phases of a real random volume have the symmetry that a real result needs.
    white = np.random.default_rng(seed).standard_normal(volume.shape, dtype=np.float32)
    noise = np.asarray(scipy.fft.rfftn(white))
    noise *= np.abs(spectrum) / np.maximum(np.abs(noise), 1e-20)
    mixed = np.where(radius2 >= (shell - 0.5) ** 2, noise, spectrum)
    return np.asarray(scipy.fft.irfftn(mixed, volume.shape))


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
    masked = volume_fsc(half_maps[0] * mask, half_maps[1] * mask)
    below = np.flatnonzero(volume_fsc(*half_maps)[1:] < 0.8)
    start = int(below[0]) + 1 if below.size else len(masked)
    if start + 2 >= len(masked):
        return masked, masked
    random = [randomise_phases(m, start, seed=seed + i) for i, m in enumerate(half_maps)]
    mask_alone = np.minimum(volume_fsc(random[0] * mask, random[1] * mask), 0.999)
    corrected = (masked - mask_alone) / (1 - mask_alone)
    return np.where(np.arange(len(masked)) >= start + 2, corrected, masked), masked


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
