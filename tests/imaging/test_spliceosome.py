"""Particles that RELION projected, which settles every convention: axes, angles, shifts, CTF."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pandas as pd
import pytest

from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import resample
from emjax.imaging.prepare import AlignedImages, PrepareOptions, prepare
from emjax.imaging.reconstruct import reconstruct
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.jobs.prepared import ctf_of

N = 1024


@pytest.fixture(scope="module")
def table(shared_data) -> ParticleSet:
    path = shared_data / "data" / "spliceosome" / "particles.star"
    if not path.exists():
        pytest.skip("data set spliceosome not found")
    return read_particles(path).select(np.arange(N))


@pytest.fixture(scope="module")
def truth(shared_data) -> np.ndarray:
    """Mean of the true maps as these particles show it."""
    folder = shared_data / "data" / "spliceosome"
    states = pd.read_csv(folder / "truth.csv")["class"].to_numpy()[:N]
    weights = np.unique(states, return_counts=True)[1] / N
    maps = [read_volume(folder / f"true_state_{k}.mrc")[0] for k in range(len(weights))]
    return np.tensordot(weights, maps, 1).astype(np.float32)


def halves(n: int) -> np.ndarray:
    return (np.arange(n) % 2 + 1).astype(np.int8)


@pytest.fixture(scope="module")
def prepared(table):
    images = AlignedImages(
        ImageStacks(table).read,
        table.rotations,
        table.shifts,
        ctf_of(table),
        table.box_size,
        table.pixel_size,
        half=halves(N),
    )
    found = prepare(images, PrepareOptions(20.0))
    return found.particles, found.mean


def test_mean_map_is_that_of_the_true_states(prepared, truth):
    particles, mean = prepared
    expected = resample(truth, particles.box_size) * mean.solvent_mask
    fsc = volume_fsc(mean.volume * mean.solvent_mask, expected)
    # A wrong sign of the shifts leaves 0.3, a transposed rotation 0.1.
    assert (fsc[1 : particles.radius - 1] > 0.97).all()


def test_solvent_mask_holds_all_that_differs(prepared, shared_data):
    particles, mean = prepared
    folder = shared_data / "data" / "spliceosome"
    maps = [
        resample(read_volume(folder / f"true_state_{k}.mrc")[0], particles.box_size)
        for k in range(4)
    ]
    for other in maps[1:]:
        energy = (maps[0] - other) ** 2
        assert (energy * mean.solvent_mask**2).sum() > 0.97 * energy.sum()
    # The mask that comes with the data is a dilated outline of the true maps.
    assert mean.solvent_mask.mean() < read_volume(folder / "solvent_mask.mrc")[0].mean()


def test_contrast_varies_no_more_than_it_does(prepared):
    """All images have the same contrast: the scale's spread is what noise leaves of it."""
    particles, _ = prepared
    assert particles.scale.mean() == pytest.approx(1, abs=0.01)
    assert particles.scale.std() < 0.03


@pytest.mark.relion
def test_map_is_that_of_relion_reconstruct(table, prepared, truth, tmp_path):
    if shutil.which("relion_reconstruct") is None:
        pytest.skip("relion_reconstruct not found")
    mean = prepared[1]
    images = ImageStacks(table).read(np.arange(N))
    with mrcfile.new(tmp_path / "particles.mrcs") as stack:
        stack.set_data(images)
        stack.set_image_stack()
        stack.voxel_size = table.pixel_size
    text = table.stack_paths[0].with_suffix(".star").read_text().splitlines()
    first = next(i for i, line in enumerate(text) if line.startswith("000001@"))
    (tmp_path / "particles.star").write_text("\n".join(text[: first + N]) + "\n")
    command = "relion_reconstruct --i particles.star --o relion.mrc --ctf --angpix 6"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    theirs = mrcfile.read(tmp_path / "relion.mrc")
    ours = reconstruct(
        lambda rows: images[rows],
        table.rotations,
        table.shifts,
        ctf_of(table),
        np.ones(N),
        np.zeros(N, np.int32),
        halves(N),
        np.ones((1, table.box_size // 2), np.float32),
        table.box_size,
        table.pixel_size,
    ).volume
    mask = resample(mean.solvent_mask, table.box_size) > 0.5
    assert np.corrcoef(ours[mask], theirs[mask])[0, 1] > 0.95
    fsc = [volume_fsc(v * mask, truth * mask)[1:16] for v in (ours, theirs)]
    # Ours is filtered by its FSC, which changes no correlation within a shell.
    assert (fsc[0] > fsc[1] - 0.02).all()
