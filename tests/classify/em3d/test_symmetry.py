"""Symmetric particles seen from one asymmetric unit: the class maps are whole and symmetric."""

import dataclasses
import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import affine_transform
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import resample
from emjax.imaging.masks import radii
from emjax.imaging.symmetry import expand_poses, symmetry_rotations
from emjax.simulate.particles import simulate

pytestmark = pytest.mark.slow

BOX, PIXEL = 32, 8.0
SIZES = {"C4": 400, "I1": 200}


def turned(volume, rotation):
    """The volume read at R·x, by cubic splines; axes z, y, x."""
    matrix = rotation[::-1, ::-1]
    centre = np.full(3, volume.shape[0] // 2)
    return affine_transform(volume, matrix, centre - matrix @ centre, order=3)


def symmetric_states(name):
    """A body that has the point group, with and without its inner domains."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    parts = []
    for centre in ((0.8, 4.9, 8.0), (2.7, -0.9, 4.5)):
        distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        blob = np.exp(-distance / (2 * 2.0**2))
        parts.append(np.mean([turned(blob, r) for r in symmetry_rotations(name)], 0))
    return np.stack([parts[0] + parts[1], parts[0]]).astype(np.float32)


def seen_from_one_unit(name):
    """Particles whose poses are all turned into the unit around one direction."""
    made = simulate(symmetric_states(name), SIZES[name], seed=3, pixel_size=PIXEL, snr=1.0)
    copies = expand_poses(made.rotations, name)[0].reshape(len(made.states), -1, 3, 3)
    nearest = (copies[:, :, 2] @ np.array([0.48, 0.36, 0.8])).argmax(1)
    return dataclasses.replace(made, rotations=copies[np.arange(len(copies)), nearest])


@pytest.fixture(scope="module", params=SIZES)
def enforced(request, prepare):
    """Name, truth, mask, result of the likeliest of three seeds, and voxel size."""
    made = seen_from_one_unit(request.param)
    particles, mean = prepare(made, point_group=request.param)
    options = Em3dOptions(symmetry=request.param, online_epochs=0, full_iterations=12)
    scene = make_scene(mean.volume, mean.solvent_mask)
    runs = [Run(2, seed) for seed in range(3)]
    results = classify(make_engine(particles, block_pixels=15_000), scene, runs, options)
    best = max(results, key=lambda r: r.log_likelihood)
    return request.param, made, mean, best, particles


def test_class_maps_are_those_of_the_states(enforced):
    name, made, mean, best, particles = enforced
    assert adjusted_rand_score(made.states, best.labels) > 0.8
    truth = symmetric_states(name)
    for k in (0, 1):
        own = int(np.bincount(best.labels[made.states == k], minlength=2).argmax())
        # An icosahedral body has shells without power, whose correlation is noise's.
        whole = resample(truth[k], particles.box_size) * mean.solvent_mask
        spectrum = np.abs(np.fft.fftshift(np.fft.fftn(whole))) ** 2
        shell = np.rint(radii(len(whole))).astype(int)
        power = np.bincount(shell.ravel(), spectrum.ravel())[1:7]
        fsc = volume_fsc(best.maps[own], whole)[1:7]
        assert np.average(fsc, weights=power) > 0.95


def test_maps_equal_the_rotated_ones(enforced):
    """Quarter turns permute voxels, other turns interpolate twice.

    Here trilinearly in Fourier space and cubically in real space, domains two voxels wide.
    """
    name, _, mean, best, _ = enforced
    tolerance = {"C4": 1e-3, "I1": 0.1}[name]
    inner = radii(len(mean.volume)) < len(mean.volume) / 2 - 3
    for rotation in symmetry_rotations(name)[1:4]:
        for volume in (*best.maps, mean.volume):
            difference = (turned(volume, rotation) - volume)[inner]
            size = np.sqrt(np.mean(volume[inner] ** 2))
            assert np.sqrt(np.mean(difference**2)) < tolerance * size


@pytest.mark.relion
def test_relion_finds_them_on_its_axes(enforced, tmp_path):
    name, _, mean, best, particles = enforced
    for program in ("relion_image_handler", "relion_align_symmetry"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} not found")
    volume = best.maps[0]
    with mrcfile.new(tmp_path / "in.mrc", volume) as mrc:
        mrc.voxel_size = particles.voxel_size
    box = str(particles.box_size)
    for command in (
        ["relion_image_handler", "--i", "in.mrc", "--o", "enforced.mrc", "--sym", name],
        ["relion_align_symmetry", "--i", "in.mrc", "--o", "aligned.mrc", "--sym", name]
        + ["--box_size", box, "--keep_centre"],
    ):
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    inner = radii(len(volume)) < len(volume) / 2 - 3
    theirs = mrcfile.read(tmp_path / "enforced.mrc")
    assert np.corrcoef(volume[inner], theirs[inner])[0, 1] > 0.99
    # Moved onto the axes of its choice the map is still symmetric about ours.
    aligned = mrcfile.read(tmp_path / "aligned.mrc")
    again = turned(aligned, symmetry_rotations(name)[-1])
    assert np.corrcoef(aligned[inner], again[inner])[0, 1] > 0.95
