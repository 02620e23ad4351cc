"""A small prepared data set with known states, shared by the tests of the classifiers."""

import numpy as np
import pytest

from emjax.classify.em3d.state import make_scene
from emjax.classify.operators.passes import make_engine
from emjax.imaging import prepare as imaging
from emjax.simulate.particles import phantom, simulate

BOX, PIXEL = 32, 8.0


def prepare(simulation, resolution=32.0, point_group="C1"):
    """Particles and mean map of a simulation."""
    found = imaging.prepare(
        simulation.aligned(), imaging.PrepareOptions(resolution, symmetry=point_group)
    )
    return found.particles, found.mean


@pytest.fixture(scope="session", name="prepare")
def prepare_function():
    """`prepare`, to call in a test."""
    return prepare


@pytest.fixture(scope="session")
def simulation():
    """900 particles of three states, 50 / 30 / 20 %."""
    volumes = phantom(3, BOX, seed=1)
    return simulate(
        volumes, 900, seed=2, pixel_size=PIXEL, snr=1.5, fractions=np.array([0.5, 0.3, 0.2])
    )


@pytest.fixture(scope="session")
def prepared(simulation):
    """Particles and mean map of the simulation."""
    return prepare(simulation)


@pytest.fixture(scope="session")
def engine(prepared):
    """Engine over the particles."""
    return make_engine(prepared[0], block_pixels=15_000)


@pytest.fixture(scope="session")
def scene(prepared):
    """Mean map and solvent mask."""
    return make_scene(prepared[1].volume, prepared[1].solvent_mask)
