"""The basis, mostly in double precision."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax.classify.operators import lanes, pixels
from emjax.classify.operators.layout import LANES
from emjax.classify.operators.pixels import make_pixel_operators, to_table
from emjax.classify.subspace.basis import BasisOptions, fit_basis, joint_moments
from emjax.classify.subspace.volumes import to_maps
from tests.classify.double import start


@pytest.mark.parametrize("masked", [True, False])
def test_likelihood_never_falls(data_set, masked):
    particles, mean, mask = data_set
    support = mask if masked else np.ones_like(mask)
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, support), support, BasisOptions(3, 50))
    gains = np.diff(basis.objective)
    assert len(gains) == 50
    # Double precision sums of 90 particles: the last digits only.
    assert gains.min() > -1e-9 * abs(basis.objective[-1])
    assert basis.objective[-1] - basis.objective[0] > 10


def test_components_live_in_the_mask(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(2, 5))
    maps = to_maps(basis.components, particles.grid)
    outside, inside = maps[:, mask == 0], maps[:, mask > 0.9]
    # The grid keeps a sphere of coefficients, so the mask's edge rings a little.
    assert np.sqrt((outside**2).mean()) < 0.15 * np.sqrt((inside**2).mean())


def test_moments_of_padding_particles_are_nothing(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    values = to_table(start(particles, mean, mask)[None])
    for rows, block in operators.blocks():
        slices = block.slices(values, 1)
        linear, _, log_likelihood = joint_moments(block.products(slices))
        assert linear.shape[1] == 0
        assert not log_likelihood[len(rows) :].any() and log_likelihood[: len(rows)].all()
        assert float(jnp.abs(slices[len(rows) :]).sum()) == 0


@pytest.mark.parametrize("precision", ["single", "double"])
def test_any_number_of_threads_gives_the_same_bits(states, prepared, monkeypatch, precision):
    """Blocks are so many that every lane has some; in single precision they are compiled."""
    particles, mean, mask = states
    double = precision == "double"
    if not double:
        particles, map_ = prepared
        mean, mask = map_.volume, map_.solvent_mask
    monkeypatch.setattr(pixels, "BLOCK_PIXELS", 16 * len(particles.grid.kx))
    found = []
    with jax.enable_x64(double):
        values = start(particles, mean, mask)
        for threads in (1, 2, 3, LANES):
            monkeypatch.setattr(lanes, "threads_at_hand", lambda threads=threads: threads)
            operators = make_pixel_operators(particles)
            basis = fit_basis(operators, values, mask, BasisOptions(2, 2))
            found.append(np.asarray(basis.components))
    assert found[0].dtype == (np.complex128 if double else np.complex64)
    assert len(list(operators.blocks())) >= LANES
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_the_fit_of_a_gpu_climbs_as_that_of_the_processor(prepared, monkeypatch):
    """Computed on the processor, in the way that is taken on a GPU."""
    particles, mean = prepared
    values, objectives = start(particles, mean.volume, mean.solvent_mask), []
    for backend in ("cpu", "gpu"):
        seen = SimpleNamespace(default_backend=lambda backend=backend: backend)
        monkeypatch.setattr(pixels, "jax", seen)
        operators = make_pixel_operators(particles)
        fit = fit_basis(operators, values, mean.solvent_mask, BasisOptions(2, 4))
        objectives.append(fit.objective)
    assert len(list(operators.blocks())) == 2  # one a half-set
    gains = [np.subtract(found, found[0])[1:] for found in objectives]
    np.testing.assert_allclose(gains[1], gains[0], rtol=0.01)
