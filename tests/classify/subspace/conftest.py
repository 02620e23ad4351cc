"""Particles in double precision, and statistics with planted classes."""

import jax
import numpy as np
import pytest

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.statistics import Statistics, pack
from emjax.imaging.masks import soft_edge
from emjax.simulate.particles import phantom, simulate
from tests.classify.conftest import BOX, PIXEL, prepare
from tests.classify.double import make_data

N, BOUND = 2000, 0.3


@pytest.fixture(params=["states", "one", "scaled"])
def data_set(request):
    """Particles in double precision: four states, one state, and one with varying contrast."""
    with jax.enable_x64(True):
        yield make_data(request.param)


@pytest.fixture
def states():
    with jax.enable_x64(True):
        yield make_data("states")


def planted(n, z, seed=0, strength=3.0):
    """Statistics of particles whose coordinates are rows of z, in random order."""
    rng = np.random.default_rng(seed)
    k, q = z.shape
    labels = rng.integers(k, size=n)
    design = rng.normal(size=(n, q + 2, q)) * np.sqrt(strength / (q + 2))
    quadratic = np.einsum("nai,naj->nij", design, design)
    linear = np.einsum("nij,nj->ni", quadratic, z[labels])
    linear += np.einsum("nai,na->ni", design, rng.normal(size=(n, q + 2)))
    features = pack(linear, quadratic).astype(np.float32)
    return Statistics(features, np.zeros(n), q), labels


@pytest.fixture(scope="session")
def three_classes():
    return planted(1500, np.array([[2.0, 0, 0], [-1, 1.7, 0], [-1, -1.7, 0]]))


@pytest.fixture(scope="session")
def operators(prepared):
    """Pixel operators of the simulated particles."""
    return make_pixel_operators(prepared[0])


def blob() -> np.ndarray:
    """A ball of density off the centre of the box."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = np.sqrt((x - 3) ** 2 + (y + 2) ** 2 + z**2)
    return soft_edge(distance, 1.5, 3.0)


@pytest.fixture(scope="session", params=["bound", "one"])
def bound_case(request):
    """Particles of one state, or with a blob that is bound to some, and whether there is one."""
    volume = phantom(1, BOX, seed=1)[0]
    height = 1.0 * np.abs(volume).max()
    volumes = np.stack([volume, volume + height * blob()])
    fractions = np.array([1 - BOUND, BOUND] if request.param == "bound" else [1.0])
    drawn = simulate(
        volumes[: len(fractions)], N, seed=4, pixel_size=PIXEL, snr=0.03, fractions=fractions
    )
    particles, mean = prepare(drawn)
    return make_pixel_operators(particles), mean, request.param == "bound"
