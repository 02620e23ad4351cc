"""The contrast transfer function against a scalar formula written out anew."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.imaging.ctf import CTF, electron_wavelength, evaluate_ctf


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def make_ctf(
    u=12_000.0, v=11_000.0, angle=0.4, phase=0.0, voltage=300.0, aberration=2.7, w=0.1
) -> CTF:
    return CTF(*(jnp.asarray([value]) for value in (u, v, angle, phase, voltage, aberration, w)))


def value_at(ctf: CTF, x: float, y: float) -> float:
    return float(evaluate_ctf(ctf, jnp.asarray([float(x)]), jnp.asarray([float(y)]))[0, 0])


def scalar_ctf(u, v, angle, phase, voltage, aberration, w, x, y) -> float:
    """From the constants of nature; angles by arctangent, amplitude contrast as a phase."""
    charge, mass, light, planck = 1.602176634e-19, 9.1093837e-31, 299792458.0, 6.62607015e-34
    energy = charge * voltage * 1e3
    momentum = math.sqrt(2 * mass * energy * (1 + energy / (2 * mass * light**2)))
    wavelength = 1e10 * planck / momentum
    k, theta = math.hypot(x, y), math.atan2(y, x)
    defocus = 0.5 * (u + v + (u - v) * math.cos(2 * (theta - angle)))
    gamma = math.pi * wavelength * k**2 * (defocus - 0.5 * wavelength**2 * k**2 * aberration * 1e7)
    return math.sin(gamma + phase + math.asin(w))


@given(
    u=st.floats(2_000, 40_000),
    astigmatism=st.floats(0, 3_000),
    angle=st.floats(-4, 4),
    phase=st.floats(0, 3),
    voltage=st.sampled_from([80.0, 120.0, 200.0, 300.0]),
    aberration=st.floats(0, 3),
    w=st.floats(0, 0.3),
    x=st.floats(-0.1, 0.1),
    y=st.floats(-0.1, 0.1),
)
@settings(max_examples=30, deadline=None)
def test_against_an_independent_formula(u, astigmatism, angle, phase, voltage, aberration, w, x, y):
    values = (u, u - astigmatism, angle, phase, voltage, aberration, w)
    # The wavelength constants agree to 1e-6, the phase is some hundreds of radians.
    assert value_at(make_ctf(*values), x, y) == pytest.approx(scalar_ctf(*values, x, y), abs=2e-3)


def test_amplitude_contrast_stands_at_zero_frequency():
    assert value_at(make_ctf(), 0, 0) == pytest.approx(0.1, abs=1e-12)
    assert value_at(make_ctf(w=0.07), 0, 0) == pytest.approx(0.07, abs=1e-12)


def test_underfocus_starts_positive_and_first_zero_is_where_it_should_be():
    ctf = make_ctf(u=10_000.0, v=10_000.0, aberration=0.0, w=0.0)
    wavelength = float(electron_wavelength(jnp.asarray(300.0)))
    assert value_at(ctf, 0.01, 0) > 0
    assert value_at(ctf, math.sqrt(1 / (wavelength * 1e4)), 0) == pytest.approx(0, abs=1e-9)


def test_astigmatism_angle_turns_from_x_to_y():
    """Along the angle the defocus is u, across it v; only y against −y shows the direction."""
    ctf, k = make_ctf(u=15_000.0, v=9_000.0, angle=0.5), 0.02
    for direction, defocus in ((0.5, 15_000.0), (0.5 + math.pi / 2, 9_000.0)):
        point = k * math.cos(direction), k * math.sin(direction)
        round_ctf = make_ctf(u=defocus, v=defocus)
        assert value_at(ctf, *point) == pytest.approx(value_at(round_ctf, *point), abs=1e-9)


@pytest.mark.parametrize(("voltage", "expected"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_wavelengths_are_the_tabulated_ones(voltage, expected):
    found = float(electron_wavelength(jnp.asarray(float(voltage))))
    assert found == pytest.approx(expected, abs=1e-5)


def test_float32_is_good_enough():
    """Phases of some hundred radians lose about 1e-5 in float32."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.15, 0.15, (2, 500))
    exact = np.asarray(evaluate_ctf(make_ctf(u=3e4, v=2.9e4), jnp.asarray(x), jnp.asarray(y)))
    with jax.enable_x64(False):
        ctf = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), make_ctf(u=3e4, v=2.9e4))
        single = evaluate_ctf(ctf, jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    np.testing.assert_allclose(single, exact, atol=2e-4)
