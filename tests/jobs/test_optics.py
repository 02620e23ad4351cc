"""What the preparation says of optics, and of CTFs whose signs are not those of the images."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

from emjax.imaging.ctf import evaluate_ctf
from emjax.imaging.prepare import PrepareOptions, prepare
from emjax.io.particles.particle_set import ParticleSet, read_particles, write_particles
from emjax.io.star.tables import read_star, write_star
from emjax.jobs.optics import describe_optics, doubts_of_optics
from emjax.jobs.preparation import aligned_images
from emjax.simulate.demo import simulate_demo

FINE = PrepareOptions(15.0)  # beyond the first zero of most CTFs


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> ParticleSet:
    return read_particles(simulate_demo(tmp_path_factory.mktemp("demo"), 2000))


def doubts(table: ParticleSet, how=None) -> list[str]:
    """Of images whose transform was multiplied with how(CTF)."""
    aligned = aligned_images(table)
    if how is not None:
        images, d = aligned.read(np.arange(table.n)), table.box_size
        f = np.fft.fftfreq(d, table.pixel_size)
        y, x = (jnp.asarray(a.ravel()) for a in np.meshgrid(f, f[: d // 2 + 1], indexing="ij"))
        ctf = np.asarray(evaluate_ctf(aligned.ctf, x, y)).reshape(table.n, d, -1)
        images = scipy.fft.irfft2(scipy.fft.rfft2(images) * how(ctf), (d, d)).astype(np.float32)
        aligned = replace(aligned, read=lambda rows: images[rows])
    return doubts_of_optics(prepare(aligned, FINE), table, FINE)


def sign(ctf: np.ndarray) -> np.ndarray:
    return np.where(ctf < 0, -1.0, 1.0)


def test_images_as_they_should_be_raise_no_doubt(table):
    assert doubts(table) == []
    flipped = replace(table, ctf_applied=np.ones(table.n, np.int8))
    assert doubts(flipped, sign) == []


@pytest.mark.parametrize(
    ("how", "option", "look"),
    [
        (sign, "phase_flipped", "phase-flipped, not as recorded"),
        (lambda ctf: ctf, "premultiplied", "multiplied by their CTF, not as recorded"),
    ],
)
def test_ctfs_in_the_images_are_noticed_where_the_file_is_silent(table, how, option, look):
    (doubt,) = doubts(table, how)
    assert f"look {look}" in doubt and f"set ctf_in_images: {option} if" in doubt


def test_a_file_that_calls_recorded_images_flipped_is_doubted(table):
    (doubt,) = doubts(replace(table, ctf_applied=np.ones(table.n, np.int8)))
    assert "look as recorded, not phase-flipped" in doubt and "ctf_in_images: none" in doubt


def test_noise_raises_no_doubt(table):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(table.n, table.box_size, table.box_size)).astype(np.float32)
    aligned = replace(aligned_images(table), read=lambda rows: noise[rows])
    assert doubts_of_optics(prepare(aligned, FINE), table, FINE) == []


def with_optics(table: ParticleSet, folder: Path, **columns) -> ParticleSet:
    write_particles(folder / "particles.star", table)
    star = read_star(folder / "particles.star")
    write_star(folder / "p.star", star.with_table(star["optics"].with_columns(columns)))
    return read_particles(folder / "p.star")


def test_what_is_used_is_said_with_its_size(table, tmp_path):
    assert list(describe_optics(table, 8.0)) == []
    (said,) = describe_optics(
        with_optics(table, tmp_path, rlnBeamTiltX=[0.5], rlnMagMat00=[1.01],
                    rlnEvenZernike=["[0,0,0,0,0,0,0,0,100]"]), 8.0,
    )  # fmt: skip
    # 2π·2.7e4·λ²·0.5/8³ and 100/8⁴ rad.
    assert "odd aberrations (beam tilt, trefoil) of up to 3.7° at 8 Å" in said
    assert "even aberrations (tetrafoil) of up to 1.4° at 8 Å" in said
    assert "magnification matrices (up to 1 % from 1)" in said
    own = replace(
        table,
        ctf_bfactor=np.linspace(0, 50, table.n),
        mirrored=(np.arange(table.n) < 9).astype(np.int8),
        ctf_applied=np.full(table.n, 2, np.int8),
    )
    (said,) = describe_optics(own, 8.0)
    assert "B-factors from 0 to 50, 2000 images premultiplied, 9 images mirrored" in said


def test_what_is_not_modelled_is_doubted_by_what_it_costs(table, tmp_path):
    terms = "[" + "0," * 6 + "40000]"
    found = with_optics(table, tmp_path, rlnOddZernike=[terms])
    (doubt,) = doubts(found)
    # 40000/15⁵ rad.
    assert "above the fourth order" in doubt and "up to 3° of phase at 15 Å" in doubt
