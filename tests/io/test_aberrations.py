"""Aberrations mean the same in RELION's terms, CryoSPARC's and emjax's, and keep their numbers."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.electron import wavelength_of
from emjax.imaging.ctf import CTF, electron_wavelength, evaluate_ctf
from emjax.imaging.distortions import odd_phases
from emjax.io.aberrations import EVEN, MAGNIFICATION, ODD, TILT, from_star, left_out, neutral
from emjax.io.convert.translate import cs_from_star, star_from_cs
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.fields import relion_fields
from emjax.io.star.relion import StarParticles

ANGLE = np.linspace(0, 2 * np.pi, 9)[:-1]
K = np.repeat([0.02, 0.1, 0.2], 8)
X, Y = K * np.cos(np.tile(ANGLE, 3)), K * np.sin(np.tile(ANGLE, 3))


def zernike(m: int, n: int) -> np.ndarray:
    """Born & Wolf's polynomials at the frequencies above, those of RELION's sets written out."""
    theta, r = np.arctan2(Y, X), K
    radial = {
        (0, 0): r**0, (1, 1): r, (0, 2): 2 * r**2 - 1, (2, 2): r**2, (1, 3): 3 * r**3 - 2 * r,
        (3, 3): r**3, (0, 4): 6 * r**4 - 6 * r**2 + 1, (2, 4): 4 * r**4 - 3 * r**2, (4, 4): r**4,
    }[abs(m), n]  # fmt: skip
    return radial * (np.cos(m * theta) if m >= 0 else np.sin(-m * theta))


ODD_ORDER = [(-1, 1), (1, 1), (-3, 3), (-1, 3), (1, 3), (3, 3)]
EVEN_ORDER = [(0, 0), (-2, 2), (0, 2), (2, 2), (-4, 4), (-2, 4), (0, 4), (2, 4), (4, 4)]


def optics(n: int = 1) -> dict[str, np.ndarray]:
    one = np.ones(n)
    return {"voltage": 300 * one, "spherical_aberration": 2.7 * one, "defocus_u": 9e3 * one,
            "defocus_v": 8e3 * one, "defocus_angle": 0.4 * one, "phase_shift": 0 * one,
            "amplitude_contrast": 0.1 * one}  # fmt: skip


@pytest.mark.parametrize("place", range(6))
def test_odd_terms_are_relions_polynomials(place):
    found = from_star({ODD: 1.5 * np.eye(6)[[place]]}, optics())["odd_aberration"]
    phase = found @ np.asarray(odd_phases(jnp.asarray(X), jnp.asarray(Y)))
    # Single precision.
    np.testing.assert_allclose(phase[0], 1.5 * zernike(*ODD_ORDER[place]), atol=1e-6)


@pytest.mark.parametrize("place", range(9))
def test_even_terms_are_subtracted_from_chi(place):
    ctf = optics()
    found = from_star({EVEN: 0.7 * np.eye(9)[[place]]}, ctf)
    assert set(found) - set(neutral(1)) <= set(ctf)
    changed = ctf | {name: found[name] for name in found.keys() & ctf.keys()}
    values = {name: jnp.asarray(value) for name, value in changed.items()}
    ours = evaluate_ctf(
        CTF(**values, even=jnp.asarray(found["even_aberration"])), jnp.asarray(X), jnp.asarray(Y)
    )
    wavelength = wavelength_of(ctf["voltage"])
    defocus = 8.5e3 + 500 * np.cos(2 * (np.arctan2(Y, X) - 0.4))
    chi = np.pi * wavelength * defocus * K**2 - np.pi / 2 * 2.7e7 * wavelength**3 * K**4
    wanted = np.sin(chi - 0.7 * zernike(*EVEN_ORDER[place]) + np.arcsin(0.1))
    np.testing.assert_allclose(ours[0], wanted, atol=1e-4)


def test_beam_tilt_is_relions_coma():
    """−2π·Cs·λ²·k²·(t·k), 0.360·Cs·10⁷·λ² degrees a mrad."""
    found = from_star({TILT[0]: np.array([2.0]), TILT[1]: np.array([-1.0])}, optics())
    phase = found["odd_aberration"] @ np.asarray(odd_phases(jnp.asarray(X), jnp.asarray(Y)))
    degrees = 0.36 * 2.7e7 * 0.0196875**2 * K**2 * (2 * X - Y)
    np.testing.assert_allclose(-np.rad2deg(phase[0]), degrees, rtol=2e-4, atol=1e-4)


def test_cryosparcs_coefficients_mean_what_relions_do(files):
    """Tilt and trefoil: −2πλ²k³ of their Å; tetrafoil: π/2·λ³k⁴, secondary astigmatism 2πλ³k⁴."""
    source = StarParticles(
        files.star(
            files.columns(),
            files.optics
            | {ODD: ["[0,0,30,0,0,60]"], EVEN: ["[0,0,0,0,50,0,0,0,40]"], TILT[0]: [1.0],
               TILT[1]: [2.0], **dict(zip(MAGNIFICATION, ([1.01], [0.02], [0.03], [0.98])))},
        ), "particles", "optics",
    )  # fmt: skip
    there = cs_from_star(source)
    (wavelength,) = wavelength_of(np.array([300.0]))
    np.testing.assert_allclose(there["ctf/tilt_A"][0], [2.7e4, 5.4e4], rtol=1e-6)
    per_trefoil = -2 * np.pi * wavelength**2 / 3
    np.testing.assert_allclose(there["ctf/trefoil_A"][0] * per_trefoil, [60, 30], rtol=1e-6)
    per_tetrafoil = np.pi / 2 * wavelength**3
    np.testing.assert_allclose(
        there["ctf/tetra_A"][0] * per_tetrafoil, [0, 0, 40, 50], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(there["ctf/anisomag"][0], [0.01, 0.02, 0.03, -0.02], rtol=1e-6)


numbers = st.floats(-1, 1)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(numbers, numbers),
    st.lists(numbers, min_size=4, max_size=4),
    st.lists(numbers, min_size=4, max_size=4),
    st.lists(numbers, min_size=4, max_size=4),
    st.lists(st.floats(0.1, 10), min_size=4, max_size=4),
    st.lists(st.floats(-300, 300), min_size=4, max_size=4),
    st.lists(st.integers(0, 1), min_size=4, max_size=4),
)
def test_star_to_cs_and_back_keeps_every_number(
    files, tilt, odd, even, matrix, scales, bfactors, flips
):
    """Image shift, trefoil, tilt, tetrafoil, magnification, scales, B-factors: to 1e-6."""
    columns = files.columns() | {
        "rlnCtfScalefactor": scales, "rlnCtfBfactor": bfactors, "rlnIsFlip": flips,
    }  # fmt: skip
    x, y, sin3, cos3 = (50 * value for value in odd)
    sin2, cos2, sin4, cos4 = (100 * value for value in even)
    # What CryoSPARC has no field for is part of its defocus.
    terms = [0, 0.75 * sin2, 0, 0.75 * cos2, sin4, sin2 / 4, 0, cos2 / 4, cos4]
    optics = files.optics | {
        TILT[0]: [tilt[0]], TILT[1]: [tilt[1]], ODD: [f"[{y!r},{x!r},{sin3!r},0,0,{cos3!r}]"],
        EVEN: ["[" + ",".join(map(repr, terms)) + "]"], "rlnCtfDataArePhaseFlipped": [1],
        **{label: [one + 0.1 * v] for label, one, v in zip(MAGNIFICATION, (1, 0, 0, 1), matrix)},
    }  # fmt: skip
    source = StarParticles(files.star(columns, optics), "particles", "optics")
    back = star_from_cs(cs_from_star(source))
    for name in ("rlnCtfScalefactor", "rlnCtfBfactor"):
        wanted = source.particles.numbers(name)
        found = back.particles.numbers(name) if name in back.particles else np.zeros(4) + wanted[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-4 * (name[-1] == "r"))
    first, again = relion_fields(source), relion_fields(back)
    for name in ("odd_aberration", "even_aberration", "magnification"):
        scale = max(1.0, np.abs(first[name]).max())
        np.testing.assert_allclose(again[name], first[name], atol=1e-6 * scale, err_msg=name)
    for name in ("mirrored", "ctf_applied"):
        assert again[name].tolist() == first[name].tolist()
    # And the columns themselves, where they are not neutral.
    assert back.optics is not None and len(back.optics) == 1
    for label in (*TILT, *MAGNIFICATION):
        if label in back.optics:
            np.testing.assert_allclose(
                back.optics.numbers(label), source.optics.numbers(label), rtol=1e-6, atol=1e-6
            )
    for label, scale in ((ODD, 50), (EVEN, 100)):
        if label in back.optics:
            lists = [
                np.array(t.text(label)[0].strip("[]").split(","), float)
                for t in (source.optics, back.optics)
            ]
            np.testing.assert_allclose(lists[1], lists[0], atol=1e-6 * scale)


@pytest.mark.parametrize("suffix", [".star", ".cs"])
def test_particle_sets_keep_aberrations_through_either_file(star_set, files, tmp_path, suffix):
    path = star_set(files.optics | {TILT[0]: [0.3], TILT[1]: [0.1], MAGNIFICATION[0]: [1.02]},
                    rlnCtfBfactor=[1.0, 2, 3, 4], rlnIsFlip=[0, 1, 0, 1])  # fmt: skip
    particles = read_particles(path)
    write_particles(tmp_path / f"b{suffix}", particles)
    again = read_particles(tmp_path / f"b{suffix}")
    assert again.magnification[0].tolist() == pytest.approx([1.02, 0, 0, 1])
    assert particles.odd_aberration.any() and particles.ctf_bfactor.tolist() == [1, 2, 3, 4]
    for name in ("odd_aberration", "magnification", "ctf_bfactor", "ctf_scale", "mirrored"):
        np.testing.assert_allclose(getattr(again, name), getattr(particles, name), rtol=1e-6)
    assert replace(particles).select(np.array([1, 3])).mirrored.tolist() == [1, 1]


def test_tilt_without_spherical_aberration_is_coma_of_its_own(files):
    source = StarParticles(
        files.star(files.columns(), files.optics | {ODD: ["[0,0,0,5,7,0]"]}), "particles", "optics"
    )
    there = cs_from_star(source)
    there.records["ctf/cs_mm"] = 0
    back = star_from_cs(there)
    assert TILT[0] not in back.optics
    terms = np.array(back.optics.text(ODD)[0].strip("[]").split(","), float)
    np.testing.assert_allclose(terms, [0, 0, 0, 5, 7, 0], atol=1e-5)


def test_terms_beyond_the_fourth_order_are_measured():
    assert left_out({ODD: np.ones((1, 6)), EVEN: np.ones((1, 9))}, 0.125) == 0
    # The first of order 5, its sine of five angles: k⁵.
    odd = np.eye(12)[[6]]
    assert left_out({ODD: odd}, 0.125) == pytest.approx(0.125**5)


def test_one_wavelength():
    voltage = np.array([80.0, 200, 300])
    np.testing.assert_allclose(electron_wavelength(jnp.asarray(voltage)), wavelength_of(voltage))
