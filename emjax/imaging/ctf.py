"""Contrast transfer function of the electron microscope.

Conventions: underfocus is positive, particles are white, the amplitude contrast w gives +w at zero
frequency, and angles are measured from the x axis. Lengths in Å, angles in radians, voltage in kV,
spherical aberration in mm.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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


def electron_wavelength(voltage: Float[Array | np.ndarray, "*n"]) -> Float[Array, "*n"]:
    """Relativistic electron wavelength in Å of a voltage in kV.

    Source: Reimer & Kohl, Transmission Electron Microscopy (2008), eq. 2.5.
    """
    volts = 1e3 * voltage
    return 12.2642598 / jnp.sqrt(volts * (1 + 9.784755e-7 * volts))


def evaluate_ctf(ctf: CTF, x: Float[Array, " p"], y: Float[Array, " p"]) -> Float[Array, "n p"]:
    """Contrast transfer sin(χ + arcsin w), χ = πλΔf k² − (π/2)·Cs·λ³k⁴ + phase shift.

    Args:
        ctf: parameters of n particles.
        x: spatial frequencies along x, in 1/Å.
        y: spatial frequencies along y, in 1/Å.

    Source: Rohou & Grigorieff, J. Struct. Biol. 192 (2015) 216, eqs. 1–4.
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
    # √(1−w²)·sin χ + w·cos χ for one sine.
    return sine(chi + jnp.arcsin(ctf.amplitude_contrast)[:, None])
