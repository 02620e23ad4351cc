"""Phases of Fourier coefficients, and the sines that they are made of."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from emjax.imaging.grids import FourierGrid


def sine(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Sine of angles up to 10⁴ radians; single precision to 3e-7, double as `jnp.sin`.

    XLA's own takes five times as long on a CPU, where it goes number by number. Multiples of
    π are taken off, then the Taylor series adds up; its rest is at most (π/2)¹³ / 13! = 6e-8.
    """
    if x.dtype != jnp.float32:
        return jnp.sin(x)
    multiple = jnp.round(x / jnp.pi)
    # π in two parts, the first with so few digits that its multiples are exact.
    angle = (x - multiple * 3.140625) - multiple * 9.6765358979e-4
    square = angle**2
    series = 1 - square / 110
    for divisor in (72, 42, 20, 6):
        series = 1 - square / divisor * series
    odd = multiple - 2 * jnp.floor(multiple / 2)
    return (1 - 2 * odd) * angle * series


def phase_factors(angle: Float[Array, "*n"]) -> Complex[Array, "*n"]:
    """exp(i·angle)."""
    return lax.complex(sine(angle + jnp.pi / 2), sine(angle))


def shift_phases(
    shifts: Float[Array, "n 2"], grid: FourierGrid, extent: float | Float[Array, ""]
) -> Complex[Array, "n p"]:
    """Phase factors exp(−2πi k·shift / extent), NumPy's sign, that centre a particle.

    Args:
        shifts: origins x, y in Å as RELION writes them (the particle lies at minus the origin).
        grid: pixels.
        extent: box size × pixel size in Å.
    """
    cycles = (jnp.outer(shifts[:, 0], grid.kx) + jnp.outer(shifts[:, 1], grid.ky)) / extent
    return phase_factors(-2 * jnp.pi * (cycles - jnp.round(cycles)))
