"""RELION's own programs mean the same by aberrations, magnification and CTFs in the images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from emjax.imaging.fsc import volume_fsc
from emjax.imaging.masks import sphere
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import StarFile, make_table, read_star, write_star
from tests.interop.test_relion import our_map, pytestmark, relion

__all__ = ["pytestmark"]  # skipped where RELION is not there

FINE, FINE_BOX = 2.5, 64
OPTICS = {
    "even": {"rlnEvenZernike": ["[0.2,4,3,-5,150,20,10,-30,120]"]},
    "tilt": {"rlnBeamTiltX": [3.0], "rlnBeamTiltY": [-2.0]},
    "odd": {"rlnOddZernike": ["[3,-2,60,10,-15,90]"]},
    "magnification": {
        "rlnMagMat00": [1.03], "rlnMagMat01": [0.02], "rlnMagMat10": [0.015], "rlnMagMat11": [0.97],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def fine(tmp_path_factory) -> Callable[..., Path]:
    """Writes a folder with 300 images of 2.5 Å pixels, and further columns in their files."""
    rng = np.random.default_rng(0)
    volume = np.zeros((FINE_BOX,) * 3, np.float32)
    places = (8 * rng.normal(size=(300, 3)) + FINE_BOX // 2).clip(16, 47).astype(int)
    volume[tuple(places.T)] = 100
    volume = gaussian_filter(volume, 0.8)
    one, n = np.ones(1), 300
    defocus = rng.uniform(5000, 12000, n)
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["g1"], "rlnVoltage": 300 * one,
        "rlnSphericalAberration": 2.7 * one, "rlnAmplitudeContrast": 0.1 * one,
        "rlnImagePixelSize": FINE * one, "rlnImageSize": [FINE_BOX], "rlnImageDimensionality": [2],
    }  # fmt: skip
    particles = {
        "rlnImageName": [f"{i + 1:06d}@images.mrcs" for i in range(n)],
        "rlnMicrographName": [f"mic{i // 50}.mrc" for i in range(n)],
        "rlnOpticsGroup": np.ones(n, int),
        "rlnDefocusU": defocus.round(2), "rlnDefocusV": (defocus - 500).round(2),
        "rlnDefocusAngle": rng.uniform(0, 180, n).round(3),
        "rlnAngleRot": rng.uniform(-180, 180, n).round(4),
        "rlnAngleTilt": np.rad2deg(np.arccos(rng.uniform(-1, 1, n))).round(4),
        "rlnAnglePsi": rng.uniform(-180, 180, n).round(4),
        "rlnOriginXAngst": rng.normal(0, 6, n).round(4),
        "rlnOriginYAngst": rng.normal(0, 6, n).round(4),
        "rlnRandomSubset": np.arange(n) % 2 + 1,
    }  # fmt: skip

    def make(*options: object, more: dict | None = None, **own: object) -> Path:
        folder = tmp_path_factory.mktemp("fine")
        write_volume(folder / "phantom.mrc", volume, FINE)
        tables = (
            make_table("optics", optics | (more or {})),
            make_table("particles", particles | own),
        )
        write_star(folder / "particles.star", StarFile(tables))
        relion("project", "--i", "phantom.mrc", "--ang", "particles.star", "--o", "images",
               "--angpix", FINE, *options, cwd=folder)  # fmt: skip
        write_star(folder / "particles.star", StarFile(tables))
        return folder

    return make


def up_to_8_angstrom(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """FSC inside the sphere."""
    mask = sphere(len(a))
    return volume_fsc(a * mask, b * mask)[1 : int(FINE_BOX * FINE / 8) + 1]


def test_relions_even_aberrations_b_factors_and_scales_are_ours(fine):
    rng = np.random.default_rng(1)
    own = {"rlnCtfBfactor": rng.uniform(50, 150, 300).round(2),
           "rlnCtfScalefactor": rng.uniform(0.5, 1.5, 300).round(3)}  # fmt: skip
    folder = fine("--ctf", more=OPTICS["even"], **own)
    truth = read_volume(folder / "phantom.mrc")[0]
    particles = read_particles(folder / "particles.star")
    assert up_to_8_angstrom(our_map(particles), truth).min() > 0.995
    table = read_star(folder / "particles.star")["particles"]
    ignored = replace(
        particles,
        even_aberration=np.zeros_like(particles.even_aberration),
        spherical_aberration=np.full(particles.n, 2.7),
        phase_shift=np.zeros(particles.n),
        defocus_u=table.numbers("rlnDefocusU"),
        defocus_v=table.numbers("rlnDefocusV"),
        defocus_angle=np.deg2rad(table.numbers("rlnDefocusAngle")),
    )
    assert up_to_8_angstrom(our_map(ignored), truth).min() < 0.97


@pytest.mark.parametrize("name", ["tilt", "odd", "magnification"])
def test_relion_takes_out_what_we_take_out(fine, name):
    """relion_project knows none of these; both programs take them out of images without them."""
    folder = fine("--ctf", more=OPTICS[name])
    relion("reconstruct", "--i", "particles.star", "--o", "relion.mrc", "--ctf", "--angpix", FINE,
           cwd=folder)  # fmt: skip
    theirs, truth = (read_volume(folder / f"{n}.mrc")[0] for n in ("relion", "phantom"))
    particles = read_particles(folder / "particles.star")
    ours = up_to_8_angstrom(our_map(particles), theirs)
    # Where the phases of all directions cancel, little is left to agree.
    assert ours.min() > (0.9 if name == "odd" else 0.99)
    wrong = replace(particles, odd_aberration=-particles.odd_aberration,
                    magnification=2 * np.array([1, 0, 0, 1]) - particles.magnification)  # fmt: skip
    assert up_to_8_angstrom(our_map(wrong), theirs).min() < ours.min() - 0.02
    assert up_to_8_angstrom(our_map(particles), truth).min() < 0.995


def test_relions_phase_flipped_images_are_unflipped(fine):
    folder = fine("--ctf", "--ctf_phase_flip", more={"rlnCtfDataArePhaseFlipped": [1]})
    truth = read_volume(folder / "phantom.mrc")[0]
    particles = read_particles(folder / "particles.star")
    # These have no amplitudes of a CTF either.
    assert up_to_8_angstrom(our_map(particles), truth).min() > 0.95
    silent = replace(particles, ctf_applied=np.zeros(particles.n, np.int8))
    assert up_to_8_angstrom(our_map(silent), truth).min() < 0.5


def test_images_multiplied_by_relion_give_the_map_of_the_recorded_ones(fine):
    folder = fine("--ctf")
    relion("ctf_toolbox", "--i", "particles.star", "--o", "times_ctf", cwd=folder)
    # RELION 3.1 does not write that they are.
    star = folder / "particles_times_ctf.star"
    particles = read_particles(star, folder, ctf_in_images="premultiplied")
    recorded = our_map(read_particles(folder / "particles.star"))
    assert up_to_8_angstrom(our_map(particles), recorded).min() > 0.999
