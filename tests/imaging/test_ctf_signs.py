"""Half-maps tell the right signs of the CTFs from the wrong ones."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from emjax.imaging.ctf_signs import SURE, compare_signs
from emjax.imaging.particles import Particles, contrast
from emjax.imaging.prepare import PrepareOptions, prepare
from emjax.simulate.particles import phantom, simulate


@pytest.fixture(scope="module")
def found():
    made = simulate(phantom(1, 48, seed=1), 1000, seed=2, snr=1.0)
    return prepare(made.aligned(), PrepareOptions(15.0))


def turned(particles: Particles) -> Particles:
    values = contrast(particles.ctf, particles.grid, jnp.float32(particles.extent))
    signs = np.where(np.asarray(values) < 0, np.float32(-1), np.float32(1))
    return replace(particles, images=particles.images * signs)


def test_the_right_signs_give_the_better_half_maps(found):
    mask = found.mean.solvent_mask
    right, wrong = (compare_signs(p, mask) for p in (found.particles, turned(found.particles)))
    assert right.given > right.flipped + 0.1 and not right.wrong
    # Flipping twice changes nothing.
    assert wrong.flipped == pytest.approx(right.given) and wrong.wrong
    assert wrong.gain == pytest.approx(-right.gain) and wrong.gain > SURE
    assert not right.multiplied and not wrong.multiplied


def test_particles_of_weight_0_say_nothing(found):
    half = np.arange(found.particles.n) % 2 == 0
    images = np.where(half[:, None], found.particles.images, turned(found.particles).images)
    part = replace(found.particles, images=images, weight=half.astype(np.float32))
    assert not compare_signs(part, found.mean.solvent_mask).wrong


def test_no_shell_beyond_the_first_zero_says_nothing(found):
    ctf = replace(found.particles.ctf, defocus_u=np.full(1000, 500.0, np.float32),
                  defocus_v=np.full(1000, 500.0, np.float32))  # fmt: skip
    part = replace(found.particles, ctf=ctf)
    assert compare_signs(part, found.mean.solvent_mask) is None
