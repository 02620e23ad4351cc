"""The scan of the mask: back-projected values, noise, and a planted difference."""

import jax.numpy as jnp
import numpy as np
import pytest

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.enrich import STANDS_OUT
from emjax.classify.subspace.projection import project_statistics
from emjax.classify.subspace.windows import (
    strongest_directions,
    sum_covariances,
    tile_mask,
    window_radius,
)
from emjax.imaging.maps import slicing_values
from emjax.imaging.masks import radii, soft_edge
from tests.classify.conftest import PIXEL
from tests.classify.double import make_data


def test_windows_are_balls_that_cover_the_mask():
    mask = soft_edge(radii(32), 9.0, 10.0)
    windows = tile_mask(mask)
    assert windows.radius == window_radius(mask)
    covered = np.zeros(len(windows.points), int)
    for centre, own in zip(windows.centres, windows.members, strict=True):
        distance = np.linalg.norm(windows.points - centre, axis=1)
        assert (own == np.flatnonzero(distance <= windows.radius)).all()
        covered[own] += 1
    # Of windows at the edge, those with little inside are left out.
    assert np.mean(covered > 0) > 0.95 and covered.max() > 1
    inside = windows.soft(0, 64)
    x, y, z = np.round(2 * windows.centres[0]).astype(int) + 32
    assert inside[z, y, x] == 1
    assert np.sum(inside > 0.5) == pytest.approx(
        np.pi / 0.75 * (2.5 * windows.radius) ** 3, rel=0.1
    )


def test_back_projected_values_give_the_inner_products_of_slices():
    particles, mean, mask = make_data("states")
    operators = make_pixel_operators(particles)
    windows = tile_mask(mask)
    central = int(np.argmin(np.linalg.norm(windows.centres, axis=1)))
    own = windows.points[windows.members[central]]
    weights = np.exp(-np.sum(own**2, 1) / 4)
    density = np.zeros_like(mask, dtype=np.float32)
    x, y, z = (own + len(mask) // 2).T
    density[z, y, x] = weights
    component = slicing_values(jnp.asarray(density), operators.grid)
    nothing, none = jnp.zeros_like(component), jnp.zeros((0, len(component)), component.dtype)
    found = sum_covariances(operators, nothing[None], np.zeros(particles.n, int), none, windows)
    statistics = project_statistics(operators, Basis(nothing, component[None]))[0]
    moment = weights @ found.windows[central][0].sum(0) @ weights
    # Images are interpolated linearly, and slices are.
    assert moment == pytest.approx(np.sum(statistics.linear() ** 2.0), rel=0.03)
    # Noise alone would give the power of the component.
    lag = own[:, None] - own + len(found.noise) // 2
    kernel = found.noise[tuple(np.moveaxis(lag, -1, 0))]
    assert weights @ kernel @ weights == pytest.approx(statistics.powers().sum(), rel=0.03)
    assert found.counts.sum() == particles.n


def test_a_bound_blob_stands_out_where_it_is_and_noise_does_not(bound_case):
    operators, mean, bound = bound_case
    mask = mean.solvent_mask
    windows = tile_mask(mask)
    centre = slicing_values(jnp.asarray(mean.volume * mask), operators.grid)
    none = jnp.zeros((0, len(centre)), centre.dtype)
    # The second class has one particle: nothing is said about it.
    labels = np.zeros(operators.particles.n, int)
    labels[:1] = 1
    both = jnp.stack([centre, centre])
    found = strongest_directions(sum_covariances(operators, both, labels, none, windows), windows)
    assert not found.excess[1].any() and found.excess.shape == (3, len(windows.members))
    excess = found.excess[0]
    assert (excess.max() > STANDS_OUT) == bound
    if bound:
        scale = operators.particles.voxel_size / PIXEL
        place = windows.centres[excess.argmax()] * scale
        assert np.linalg.norm(place - [3, -2, 0]) < 1.5 * windows.radius * scale
