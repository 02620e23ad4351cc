"""Reconstruction at full box."""

import numpy as np
import pytest
from scipy.ndimage import rotate

from emjax.imaging import insertion
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.masks import solvent_mask, sphere
from emjax.imaging.reconstruct import reconstruct
from emjax.resolution import resolution_at
from emjax.simulate.particles import phantom, simulate


def rebuild(simulation, **changes):
    n, box_size = len(simulation.states), simulation.images.shape[-1]
    arguments = {
        "scale": np.ones(n),
        "group": np.zeros(n, np.int32),
        "half": (np.arange(n) % 2 + 1).astype(np.int8),
        "noise_power": np.full((1, box_size // 2), float(box_size**2), np.float32),
        "mask": None,
        "point_group": "C1",
        "progress": lambda done, total: None,
    } | changes
    return reconstruct(
        lambda rows: simulation.images[rows],
        simulation.rotations,
        simulation.shifts,
        simulation.ctf,
        arguments["scale"],
        arguments["group"],
        arguments["half"],
        arguments["noise_power"],
        box_size,
        simulation.pixel_size,
        arguments["mask"],
        arguments["progress"],
        point_group=arguments["point_group"],
    )


@pytest.fixture(scope="module")
def rebuilt(simulation):
    return rebuild(simulation)


def test_maps_are_the_truth(rebuilt, volume):
    fsc = volume_fsc(rebuilt.volume * sphere(len(volume)), volume)
    # Beyond 16 Å, the twelfth shell of 32 voxels of 6 Å, the phantom holds nothing.
    assert (fsc[1:10] > 0.95).all()
    assert (rebuilt.fsc[1:9] > 0.9).all()
    for half_map in rebuilt.half_maps:
        assert half_map.shape == volume.shape and half_map.dtype == np.float32
        assert (volume_fsc(half_map * sphere(len(volume)), volume)[1:8] > 0.9).all()


def test_density_is_that_of_the_images(rebuilt, simulation, volume):
    """The noise has unit variance, so the volume comes back in units of its deviation."""
    # Images and maps hold no zero frequency.
    truth = volume - volume.mean()
    for half_map in rebuilt.half_maps:
        slope = np.vdot(half_map, truth) / np.vdot(truth, truth)
        assert slope == pytest.approx(1 / simulation.noise_sd, rel=0.03)


@pytest.mark.parametrize("box_size", [27, 30])
def test_odd_boxes_and_any_boxes_keep_the_centre(box_size):
    volume = phantom(1, box_size, seed=3)[0]
    simulation = simulate(volume[None], 300, seed=1, pixel_size=6.0, snr=5.0)
    found = rebuild(simulation).volume * sphere(box_size)
    fsc = volume_fsc(found, volume)
    # A shift of half a voxel would cost 0.3 at a third of Nyquist.
    assert (fsc[1:7] > 0.98).all()


def test_the_same_bits_each_time(simulation, rebuilt):
    again = rebuild(simulation)
    np.testing.assert_array_equal(again.volume, rebuilt.volume)
    np.testing.assert_array_equal(again.half_maps[0], rebuilt.half_maps[0])


def test_small_chunks_say_the_same(simulation, rebuilt, monkeypatch):
    monkeypatch.setattr("emjax.imaging.reconstruct.CHUNK_PIXELS", 40_000)
    again = rebuild(simulation)
    np.testing.assert_allclose(again.volume, rebuilt.volume, atol=1e-3 * rebuilt.volume.max())


def test_a_tight_mask_raises_the_fsc(simulation, rebuilt, volume):
    masked = rebuild(simulation, mask=solvent_mask(volume, 6.0))
    extent = 32 * 6.0
    assert resolution_at(masked.fsc_masked, extent) <= resolution_at(masked.fsc, extent) + 0.1
    np.testing.assert_allclose(masked.fsc, rebuilt.fsc, atol=1e-6)


def test_a_class_that_lacks_a_half_set_has_a_map_without_fsc(simulation, rebuilt):
    found = rebuild(simulation, half=np.ones(800, np.int8))
    assert not found.half_maps[1].any() and not found.fsc.any() and not found.fsc_masked.any()
    assert found.fsc.shape == rebuilt.fsc.shape
    # All particles are in its map, as they are in that of two half-sets.
    assert np.corrcoef(found.volume.ravel(), rebuilt.volume.ravel())[0, 1] > 0.95
    with pytest.raises(ValueError, match="half-sets: found no particle"):
        rebuild(simulation, half=np.zeros(800, np.int8))


def test_a_point_group_completes_views_of_one_unit():
    """Noisy views of a fourfold particle: enforced, each counts four times."""
    one = phantom(1, 30, seed=4)[0]
    turned = [rotate(one[1:, 1:, 1:], 90 * i, axes=(1, 2), reshape=False) for i in range(4)]
    volume = np.pad(np.mean(turned, 0), ((1, 0),) * 3).astype(np.float32)
    simulation = simulate(volume[None], 80, seed=1, pixel_size=6.0, snr=0.3)
    fsc = [
        volume_fsc(rebuild(simulation, point_group=name).volume * sphere(30), volume)[1:10]
        for name in ("C1", "C4")
    ]
    assert (fsc[1][2:] > fsc[0][2:]).all() and (fsc[1][:6] > 0.9).all()
    with pytest.raises(ValueError, match="symmetry: found 'Q'"):
        rebuild(simulation, point_group="Q")


def test_without_the_compiled_library_the_map_is_the_same(simulation, rebuilt, monkeypatch):
    if not insertion.compiled():
        pytest.skip("the library for tables was not built, or JAX runs on another device")
    monkeypatch.setattr(insertion, "_library", None)
    again = rebuild(simulation)
    np.testing.assert_allclose(again.volume, rebuilt.volume, atol=1e-3 * rebuilt.volume.max())


def test_progress_counts_every_particle_once(simulation):
    said = []
    rebuild(simulation, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (800, 800) and [done for done, _ in said] == sorted({d for d, _ in said})
