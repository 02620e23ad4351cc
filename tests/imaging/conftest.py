"""A small simulated set that the imaging tests share."""

from dataclasses import replace

import numpy as np
import pytest

from emjax.imaging import prepare as imaging
from emjax.imaging.prepare import Prepared, PrepareOptions
from emjax.simulate.particles import Simulation, phantom, simulate

BOX, PIXEL, FILTER = 32, 6.0, 18.0


@pytest.fixture(scope="session")
def volume() -> np.ndarray:
    """One phantom of 32 voxels."""
    return phantom(1, BOX, seed=1)[0]


@pytest.fixture(scope="session")
def simulation(volume) -> Simulation:
    """800 particles of one state, whose contrast varies by 15 %."""
    return simulate(volume[None], 800, seed=2, pixel_size=PIXEL, snr=0.5, scale_sd=0.15)


def prepare(
    simulation: Simulation, group: np.ndarray | None = None, scale=None, kind="optimal", **options
) -> Prepared:
    """The simulated set prepared; half-sets alternate."""
    half = np.arange(len(simulation.states)) % 2 + 1
    images = replace(simulation.aligned(), half=half, group=group, scale=scale)
    return imaging.prepare(images, PrepareOptions(FILTER, kind, **options))


@pytest.fixture(scope="session", name="prepare")
def prepare_function():
    """`prepare`, to call in a test."""
    return prepare


@pytest.fixture(scope="session")
def prepared(simulation) -> Prepared:
    """The simulated set as `prepare` leaves it."""
    return prepare(simulation)
