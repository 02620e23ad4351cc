"""Contrast transfer function of the electron microscope.

Conventions: underfocus is positive, particles are white, the amplitude contrast w gives +w at zero
frequency, and angles are measured from the x axis. Lengths in Å, angles in radians, voltage in kV,
spherical aberration in mm.
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.electron import PLANCK, RELATIVITY
from emjax.imaging.phases import sine


class CTF(eqx.Module):
    """Parameters of the contrast transfer functions of n particles."""

    defocus_u: Float[Array | np.ndarray, " n"]
    defocus_v: Float[Array | np.ndarray, " n"]
    defocus_angle: Float[Array | np.ndarray, " n"]
    phase_shift: Float[Array | np.ndarray, " n"]
    voltage: Float[Array | np.ndarray, " n"]
    spherical_aberration: Float[Array | np.ndarray, " n"]
    amplitude_contrast: Float[Array | np.ndarray, " n"]
    # None costs nothing; most files have none of these.
    scale: Float[Array | np.ndarray, " n"] | None = None
    bfactor: Float[Array | np.ndarray, " n"] | None = None  # Å²
    even: Float[Array | np.ndarray, "n 4"] | None = None  # rad·Å⁴, of `fourth_order`

    def take(self, rows: Int[np.ndarray, " m"]) -> "CTF":
        """Of some of the particles, in the order given, as NumPy arrays."""
        return jax.tree.map(lambda values: np.asarray(values)[rows], self)

    @property
    def undamped(self) -> "CTF":
        """Without scale and B-factor: between −1 and 1."""
        return replace(self, scale=None, bfactor=None)


def electron_wavelength(voltage: Float[Array | np.ndarray, "*n"]) -> Float[Array, "*n"]:
    """Relativistic electron wavelength in Å of a voltage in kV."""
    volts = 1e3 * voltage
    return PLANCK / jnp.sqrt(volts * (1 + RELATIVITY * volts))


def evaluate_ctf(ctf: CTF, x: Float[Array, " p"], y: Float[Array, " p"]) -> Float[Array, "n p"]:
    """Contrast transfer s·exp(−Bk²/4)·sin(χ + arcsin w), s scale, B B-factor, w amplitude contrast.

    χ = πλΔf k² − (π/2)·Cs·λ³k⁴ + phase shift − even aberrations of fourth order.

    Args:
        ctf: parameters of n particles.
        x: spatial frequencies along x, in 1/Å.
        y: spatial frequencies along y, in 1/Å.

    Source: Rohou & Grigorieff, J. Struct. Biol. 192 (2015) 216, eqs. 1–4; for even aberrations
    Zivanov, Nakane & Scheres, IUCrJ 7 (2020) 253.
    """
    k2 = x**2 + y**2
    wavelength = electron_wavelength(ctf.voltage)[:, None]
    # cos 2(θ − angle) without the angle of k itself.
    k2_cos = (x**2 - y**2) * jnp.cos(2 * ctf.defocus_angle)[:, None]
    k2_cos = k2_cos + 2 * x * y * jnp.sin(2 * ctf.defocus_angle)[:, None]
    mean = 0.5 * (ctf.defocus_u + ctf.defocus_v)[:, None]
    half_difference = 0.5 * (ctf.defocus_u - ctf.defocus_v)[:, None]
    chi = jnp.pi * wavelength * (mean * k2 + half_difference * k2_cos)
    aberration = 1e7 * ctf.spherical_aberration[:, None]
    chi = chi - 0.5 * jnp.pi * aberration * wavelength**3 * k2**2 + ctf.phase_shift[:, None]
    if ctf.even is not None:
        chi = chi - jnp.matmul(ctf.even, fourth_order(x, y), precision="highest")
    # √(1−w²)·sin χ + w·cos χ for one sine.
    contrast = sine(chi + jnp.arcsin(ctf.amplitude_contrast)[:, None])
    if ctf.bfactor is not None:
        contrast = contrast * jnp.exp(-0.25 * ctf.bfactor[:, None] * k2)
    return contrast if ctf.scale is None else contrast * ctf.scale[:, None]


def fourth_order(x: Float[Array, " p"], y: Float[Array, " p"]) -> Float[Array, "4 p"]:
    """k⁴·cos 2θ, k⁴·sin 2θ, k⁴·cos 4θ and k⁴·sin 4θ."""
    cosine, sine = x**2 - y**2, 2 * x * y
    return jnp.stack(
        [cosine * (x**2 + y**2), sine * (x**2 + y**2), cosine**2 - sine**2, 2 * cosine * sine]
    )
