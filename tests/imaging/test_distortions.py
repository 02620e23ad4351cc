"""Images with aberrations, another magnification or a CTF applied, put right: maps as without."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from emjax.imaging.ctf import CTF, evaluate_ctf
from emjax.imaging.distortions import FLIPPED, MULTIPLIED, Distortions, straighten
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.masks import sphere
from emjax.imaging.prepare import AlignedImages, PrepareOptions, prepare
from emjax.imaging.reconstruct import reconstruct
from emjax.simulate.particles import project

N, BOX, PIXEL = 400, 48, 3.0
SHELL = BOX * PIXEL / 8  # of 8 Å
# Each some radians of phase at 8 Å, where k³ is 1/512.
ODD = np.array([4.0, -3.0, 300.0, -200.0, 500.0, 400.0])
M = np.array([[1.03, 0.02], [0.015, 0.97]])
IDENTITY = np.array([1.0, 0, 0, 1])


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    """Atoms of 8 Å and finer."""
    rng = np.random.default_rng(0)
    places = (rng.normal(0, 6, (300, 3)) + BOX // 2).clip(10, BOX - 11).astype(int)
    map_ = np.zeros((BOX,) * 3, np.float32)
    map_[tuple(places.T)] = 1
    return 100 * gaussian_filter(map_, 0.8)


def poses() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return Rotation.random(N, random_state=2).as_matrix(), rng.normal(0, 6, (N, 2))


def plain_ctf(**more) -> CTF:
    rng, one = np.random.default_rng(3), np.ones(N)
    u = rng.uniform(6000, 14000, N)
    angle = rng.uniform(0, np.pi, N)
    return CTF(u, u - 400, angle, 0 * one, 300 * one, 2.7 * one, 0.1 * one, **more)


def simulated(volume, ctf=None, odd=None, magnification=None, noise=0.5) -> np.ndarray:
    ctf = plain_ctf() if ctf is None else ctf
    images = project(volume[None], np.zeros(N, int), *poses(), ctf, PIXEL, odd, magnification)
    rng = np.random.default_rng(4)
    return images + rng.normal(0, noise * images.std(), images.shape).astype(np.float32)


def distortions(ctf=None, odd=None, magnification=None, applied=0) -> Distortions:
    return Distortions(
        np.tile(np.zeros(6) if odd is None else odd, (N, 1)),
        np.tile(IDENTITY if magnification is None else magnification.ravel(), (N, 1)),
        np.full(N, applied, np.int8),
        plain_ctf() if ctf is None else ctf,
        poses()[1],
        PIXEL,
    )


def map_of(images: np.ndarray, found: Distortions) -> np.ndarray:
    """At full box, from images as they are in a stack."""
    one = np.ones(N)
    return reconstruct(
        lambda rows: found.undo(rows, images[rows]),
        *poses(),
        found.ctf,
        one,
        np.zeros(N, int),
        np.arange(N) % 2 + 1,
        np.ones((1, BOX // 2)),
        BOX,
        PIXEL,
    ).volume


def likeness(map_: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """FSC with the truth up to 8 Å."""
    mask = sphere(BOX)
    return volume_fsc(map_ * mask, volume * mask)[1 : int(SHELL) + 1]


def applied(images: np.ndarray, ctf: CTF, how) -> np.ndarray:
    """Images whose transform was multiplied with how(CTF)."""
    f = np.fft.fftfreq(BOX, PIXEL)
    y, x = np.meshgrid(f, f[: BOX // 2 + 1], indexing="ij")
    values = np.asarray(evaluate_ctf(ctf, jnp.asarray(x.ravel()), jnp.asarray(y.ravel()))).reshape(
        N, BOX, -1
    )
    spectra = scipy.fft.rfft2(images) * how(values)
    return scipy.fft.irfft2(spectra, (BOX, BOX)).astype(np.float32)


@pytest.fixture(scope="module")
def best(volume) -> np.ndarray:
    """What the same noise lets through without any distortion."""
    return likeness(map_of(simulated(volume), distortions()), volume)


CASES = {
    "beam tilt and trefoil": {"odd": ODD},
    "anisotropic magnification": {"magnification": M},
    "both": {"odd": ODD, "magnification": M},
}


@pytest.mark.parametrize("name", CASES)
def test_maps_are_as_good_as_without_the_distortion(name, volume, best):
    images = simulated(volume, **CASES[name])
    found = likeness(map_of(images, distortions(**CASES[name])), volume)
    # Interpolation of the noise costs less than another draw of it would.
    assert (found > best - 0.01).all(), found - best
    ignored = likeness(map_of(images, distortions()), volume)
    assert ignored[-1] < best[-1] - 0.03


TERMS = {
    "B-factor": ({"bfactor": np.linspace(0, 150, N)}, 0.0),
    "scale": ({"scale": np.linspace(0.5, 1.5, N)}, 0.0),
    "even": ({"even": np.tile([3600.0, -2800.0, 6000.0, 4800.0], (N, 1))}, 0.03),
}


@pytest.mark.parametrize("name", TERMS)
def test_terms_of_the_ctf_are_in_the_model(name, volume, best):
    terms, cost = TERMS[name]
    ctf = plain_ctf(**terms)
    images = simulated(volume, ctf)
    found = likeness(map_of(images, distortions(ctf)), volume)
    # A B-factor leaves less signal at 8 Å, whatever the model.
    assert (found > best - (0.03 if name == "B-factor" else 0.01)).all(), found - best
    assert likeness(map_of(images, distortions()), volume)[-1] < found[-1] - cost


def test_flipped_images_give_the_map_of_the_recorded_ones(volume):
    images, ctf = simulated(volume), plain_ctf()
    right = map_of(images, distortions())
    flipped = applied(images, ctf, lambda c: np.where(c < 0, -1.0, 1.0))
    np.testing.assert_allclose(
        map_of(flipped, distortions(applied=FLIPPED)), right, atol=1e-4 * right.max()
    )
    as_they_are = map_of(flipped, distortions())
    mask = sphere(BOX)
    assert volume_fsc(as_they_are * mask, right * mask)[int(SHELL) - 4 : int(SHELL)].mean() < 0.5


def test_multiplied_images_give_the_map_of_the_recorded_ones(volume):
    images, ctf = simulated(volume), plain_ctf()
    right = map_of(images, distortions())
    multiplied = applied(images, ctf, lambda c: c)
    ours = map_of(multiplied, distortions(applied=MULTIPLIED))
    # Where the CTF is below 0.03 nothing can be had back.
    assert volume_fsc(ours, right)[1 : int(SHELL)].min() > 0.9999


def test_preparation_is_that_of_the_recorded_images(volume):
    images, ctf = simulated(volume), plain_ctf()
    flipped = applied(images, ctf, lambda c: np.where(c < 0, -1.0, 1.0))
    half = np.arange(N) % 2 + 1
    plain = AlignedImages(lambda r: images[r], *poses(), ctf, BOX, PIXEL, half=half)
    undo = distortions(applied=FLIPPED).undo
    other = replace(plain, read=lambda r: flipped[r], undo=undo)
    first, second = (prepare(a, PrepareOptions(8.0)) for a in (plain, other))
    scale = np.abs(first.particles.images).max()
    np.testing.assert_allclose(second.particles.images, first.particles.images, atol=1e-4 * scale)
    np.testing.assert_allclose(second.particles.scale, first.particles.scale, atol=1e-3)


def test_a_hot_pixel_is_found_before_it_is_spread(volume):
    images = simulated(volume)
    images[7, 20, 31] = 3000 * images.std()
    aligned = AlignedImages(
        lambda r: images[r], *poses(), plain_ctf(), BOX, PIXEL, undo=distortions(odd=ODD).undo
    )
    assert prepare(aligned, PrepareOptions(12.0)).bad_images.rows.tolist() == [7]


def test_straightening_moves_a_wave_to_its_frequency():
    """A plane wave at k comes to lie at M·k, exactly where both fit the box."""
    x = np.arange(64) - 32
    wave = np.cos(2 * np.pi * (8 * x[None] + 4 * x[:, None]) / 64).astype(np.float32)
    matrix = np.array([[1.0, 0.125], [0.0, 1.0]])  # (8, 4) to (8.5, 4)
    found = straighten(wave[None], matrix)[0]
    wanted = np.cos(2 * np.pi * (8.5 * x[None] + 4 * x[:, None]) / 64)
    inside = slice(16, 48)
    # A shear wraps around the box's edge, and this wave with it.
    np.testing.assert_allclose(found[inside, inside], wanted[inside, inside], atol=0.02)


def test_nothing_to_undo_is_known():
    assert not distortions().any
    for other in ({"odd": ODD}, {"magnification": M}, {"applied": FLIPPED}):
        assert distortions(**other).any
