"""A small simulated set that the imaging tests share."""

import numpy as np
import pytest

from emjax.imaging.crop import crop_images, grid_for
from emjax.imaging.particles import cropped_particles
from emjax.imaging.prepare import MeanMap, estimate
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
    simulation: Simulation,
    scale: str = "optimal",
    group: np.ndarray | None = None,
    given_scale: np.ndarray | None = None,
    **options,
) -> tuple:
    """Prepared particles, mean map and the power of the images."""
    n = len(simulation.states)
    group = np.zeros(n, np.int32) if group is None else group
    box_size = simulation.images.shape[-1]
    grid = grid_for(box_size, simulation.pixel_size, FILTER)
    images = np.empty((n, len(grid.kx)), np.complex64)
    power = crop_images(
        lambda rows: simulation.images[rows],
        simulation.shifts,
        group,
        simulation.pixel_size,
        grid,
        images,
    )
    particles = cropped_particles(
        images,
        simulation.rotations,
        simulation.ctf,
        np.arange(n) % 2 + 1,
        group,
        box_size,
        simulation.pixel_size,
        grid.radius,
        given_scale,
    )
    return *estimate(particles, power, scale=scale, **options), power


@pytest.fixture(scope="session", name="prepare")
def prepare_function():
    """`prepare`, to call in a test."""
    return prepare


@pytest.fixture(scope="session")
def prepared(simulation) -> tuple:
    """The simulated set as prepare leaves it."""
    particles, mean, power = prepare(simulation)
    assert isinstance(mean, MeanMap)
    return particles, mean, power
