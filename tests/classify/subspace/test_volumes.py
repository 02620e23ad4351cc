"""From coordinates to maps and back."""

import jax.numpy as jnp
import numpy as np
import pytest

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.volumes import (
    components_from_coordinates,
    components_from_maps,
    components_from_states,
    fit_variability,
    to_maps,
    volumes_of,
)
from emjax.imaging.grids import gridding
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import weights_of
from emjax.imaging.projector import make_slices, slice_volume
from emjax.simulate.particles import phantom
from tests.classify.double import BOX, N


def test_given_components_are_checked(states):
    particles, mean, mask = states
    with pytest.raises(ValueError, match="expected"):
        components_from_maps(np.ones((2, 8, 8, 8)), mask, particles.grid)
    with pytest.raises(ValueError, match="map 2 is empty"):
        components_from_maps(np.stack([mean, 0 * mean]), mask, particles.grid)
    values = components_from_maps(np.stack([mean, 2 * mean]), mask, particles.grid)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    assert gridding(BOX).shape == mean.shape


def test_coordinates_of_another_program_become_volumes(states):
    """Regression on coordinates planted in noiseless images gives the planted component."""
    particles, mean, mask = states
    rng = np.random.default_rng(5)
    component = mask * phantom(2, BOX, 7).astype(np.float64)[1]
    values = slicing_values(jnp.asarray(np.stack([mean * mask, component])), particles.grid)
    slices = make_slices(jnp.asarray(particles.rotations), particles.grid)
    weights = weights_of(particles, particles.grid)
    base, change = (np.asarray(slice_volume(v, slices) * weights) for v in values)
    z = rng.normal(size=(N, 1))
    particles.images[:] = base + (z - z.mean()) / z.std() * change
    operators = make_pixel_operators(particles)
    found = components_from_coordinates(operators, values[0], 3 * z + 1, mask, 40)
    got, planted = (mask * to_maps(v, particles.grid)[0] for v in (found, values[1:]))
    # The images hold no more than the grid's frequencies, and 90 views not all of these equally.
    assert np.corrcoef(got.ravel(), planted.ravel())[0, 1] > 0.95
    with pytest.raises(ValueError, match="component 1 has the spread 0"):
        components_from_coordinates(operators, values[0], 0 * z, mask)


@pytest.mark.slow
def test_starts_for_other_methods_are_the_states(prepared, operators, simulation):
    _, mean = prepared
    basis, statistics = fit_variability(operators, mean.volume, mean.solvent_mask, None, 8, 3)
    maps = volumes_of(basis, statistics, operators.grid, 3, seed=1)
    again = volumes_of(basis, statistics, operators.grid, 3, seed=1)
    np.testing.assert_array_equal(maps, again)
    assert maps.shape == (3, *mean.volume.shape)
    # The maps differ where the states do: much more between classes than within the noise.
    spread = maps.std(0)[mean.solvent_mask > 0.9]
    assert spread.max() > 10 * np.median(spread)


def test_states_of_another_program_become_their_differences(prepared, operators):
    _, mean = prepared
    rng = np.random.default_rng(0)
    extra = rng.normal(size=(2, *mean.volume.shape)) * mean.solvent_mask
    states = np.stack([mean.volume, mean.volume + extra[0], mean.volume + extra[1]])
    components = components_from_states(states, mean.solvent_mask, operators.grid)
    assert len(components) == 2
    with pytest.raises(ValueError, match="at least 2"):
        components_from_states(states[:1], mean.solvent_mask, operators.grid)
