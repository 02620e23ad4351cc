"""Point groups, symmetric sums, and poses of symmetric particles."""

import re
import shutil
import subprocess

import equinox as eqx
import jax
import jax.numpy as jnp
import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import add_friedel_mates, gridding, make_grid, to_fourier, to_real
from emjax.imaging.maps import slicing_values
from emjax.imaging.masks import radii, soft_edge
from emjax.imaging.projector import insert_slices, insert_weights, make_slices, slice_volume
from emjax.imaging.symmetry import (
    expand_poses,
    parse_point_group,
    symmetrise,
    symmetrise_sums,
    symmetry_rotations,
)

ORDERS = {"C1": 1, "C4": 4, "C7": 7, "D2": 4, "D5": 10, "T": 12, "O": 24, "I1": 60, "I2": 60}
BOX = 36
GRID = make_grid(BOX, 12)
symmetrise_sums, symmetrise = eqx.filter_jit(symmetrise_sums), eqx.filter_jit(symmetrise)
make_slices, slice_volume = eqx.filter_jit(make_slices), eqx.filter_jit(slice_volume)


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_groups_close(name, order):
    group = symmetry_rotations(name)
    assert len(group) == order
    np.testing.assert_array_equal(group[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(group), 1)
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 1, 3, 3)
    distance = np.abs(products - group).max((-2, -1))
    # Every product is one element, and each is reached equally often.
    assert distance.min(1).max() < 1e-12
    np.testing.assert_array_equal(np.bincount(distance.argmin(1)), order)


@pytest.mark.parametrize("name", ["D3", "D4", "O", "I1"])
def test_scipy_has_the_same_axes(name):
    theirs = Rotation.create_group(name.replace("I1", "I")).as_matrix()
    distance = np.abs(symmetry_rotations(name)[:, None] - theirs).max((-2, -1))
    assert distance.min(1).max() < 1e-9


def test_the_icosahedral_settings_differ_by_a_quarter_turn():
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    turned = turn @ symmetry_rotations("I1") @ turn.T
    assert np.abs(turned[:, None] - symmetry_rotations("I2")).max((-2, -1)).min(1).max() < 1e-9


@pytest.mark.relion
@pytest.mark.parametrize("name", ["C4", "C7", "D3", "D4", "T", "O", "I1", "I2"])
def test_relion_has_the_same_axes(name):
    if shutil.which("relion_refine") is None:
        pytest.skip("relion_refine not found")
    command = ["relion_refine", "--print_symmetry_ops", "--sym", name]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    number = r"\s*(-?[\d.e-]+)"
    found = re.findall(r"R\(\d+\)=" + number * 9, text)
    theirs = np.array(found, float).reshape(-1, 3, 3)
    assert len(theirs) == len(symmetry_rotations(name))
    distance = np.abs(symmetry_rotations(name)[:, None] - theirs).max((-2, -1))
    # RELION prints five digits.
    assert distance.min(1).max() < 2e-5


@given(st.sampled_from(sorted(ORDERS)))
@settings(max_examples=10, deadline=None)
def test_names_in_any_case(name):
    assert parse_point_group(f" {name.lower()} ") == parse_point_group(name)


def test_names_parsed():
    assert parse_point_group("C12") == ("C", 12)
    assert parse_point_group("i2") == ("I2", 1)


@pytest.mark.parametrize("name", ["", "C", "C0", "D-2", "X4", "C4.5", "T2", "I3", "4", "CC4"])
def test_unknown_names_are_reported(name):
    with pytest.raises(ValueError, match=r"symmetry: found .*, expected C1 … C999, D1 …, T, O, I1"):
        symmetry_rotations(name)


def test_i_needs_its_axes():
    with pytest.raises(ValueError, match="I1 or I2"):
        symmetry_rotations("I")


def rotated(volume: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The volume read at R·x, by cubic splines; axes z, y, x."""
    matrix = rotation[::-1, ::-1]
    centre = np.full(3, volume.shape[0] // 2)
    return affine_transform(volume, matrix, centre - matrix @ centre, order=3)


def unsymmetric() -> np.ndarray:
    """Two blobs: sixty copies of many would average to a featureless ball."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = np.zeros((BOX,) * 3)
    for centre, width in (((1.0, 5.5, 9.0), 1.5), ((3.0, -1.0, 2.0), 2.0)):
        distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        volume += np.exp(-distance / (2 * width**2))
    return volume.astype(np.float32)


def enforce(values, name: str) -> np.ndarray:
    group = symmetry_rotations(name)
    total = symmetrise(values, GRID, jnp.asarray(group, jnp.float32))
    return np.asarray(to_real(total, GRID)) / len(group)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    inner = radii(BOX) < 13
    return float(np.linalg.norm((found - expected)[inner]) / np.linalg.norm(expected[inner]))


def test_enforced_c4_is_the_mean_of_rotated_maps():
    """Quarter turns map voxels on voxels; the grid holds all but a thousandth of the volume."""
    volume = unsymmetric()
    expected = np.mean([rotated(volume, r) for r in symmetry_rotations("C4")], 0)
    enforced = enforce(to_fourier(jnp.asarray(volume), GRID), "C4")
    assert difference(enforced, expected) < 0.003
    assert difference(rotated(enforced, symmetry_rotations("C4")[1]), enforced) < 1e-4


def test_enforced_i1_is_the_mean_of_rotated_maps():
    """The window of interpolation is divided out before; the four copies it spares are brighter."""
    volume, name = unsymmetric(), "I1"
    expected = np.mean([rotated(volume, r) for r in symmetry_rotations(name)], 0)
    enforced = enforce(slicing_values(jnp.asarray(volume), GRID), name)
    # Trilinear and cubic interpolation differ by some per cent.
    assert difference(enforced, expected) < 0.05
    assert difference(rotated(enforced, symmetry_rotations(name)[7]), enforced) < 0.05


@pytest.mark.relion
@pytest.mark.parametrize("name", ["C4", "T", "I1", "I2"])
def test_relion_enforces_the_same(name, tmp_path):
    if shutil.which("relion_image_handler") is None:
        pytest.skip("relion_image_handler not found")
    volume = unsymmetric()
    mrcfile.write(tmp_path / "in.mrc", volume, voxel_size=4.0)
    command = ["relion_image_handler", "--i", "in.mrc", "--o", "out.mrc", "--sym", name]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    theirs = mrcfile.read(tmp_path / "out.mrc")
    ours = enforce(slicing_values(jnp.asarray(volume), GRID), name)
    inner = radii(BOX) < 13
    assert np.corrcoef(ours[inner], theirs[inner])[0, 1] > 0.99


def test_x64_symmetrise_is_exact_on_voxels():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        values = to_fourier(jnp.asarray(rng.normal(size=(BOX,) * 3)), GRID)
        group = symmetry_rotations("D4")
        total = np.asarray(symmetrise(values, GRID, jnp.asarray(group)))
        kxyz = np.asarray(GRID.kxyz)
        read = {tuple(k): v for k, v in zip(kxyz.tolist(), np.asarray(values), strict=True)}
        for i in rng.choice(len(kxyz), 50):
            expected = 0
            for r in group:
                k = np.rint(r @ kxyz[i]).astype(int)
                expected += read[tuple(k)] if k[0] >= 0 else read[tuple(-k)].conj()
            assert total[i] == pytest.approx(expected, abs=1e-10)


def test_expanded_poses_see_the_same_symmetric_volume():
    group = symmetry_rotations("C4")
    volume = np.mean([rotated(unsymmetric(), r) for r in group], 0).astype(np.float32)
    rotations = Rotation.random(2, random_state=0).as_matrix()
    copies, particle = expand_poses(rotations, "C4")
    np.testing.assert_array_equal(particle, [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(copies[::4], rotations)
    values = slicing_values(jnp.asarray(volume), GRID)
    slices = slice_volume(values, make_slices(jnp.asarray(copies, jnp.float32), GRID))
    slices = np.asarray(slices).reshape(2, 4, -1)
    np.testing.assert_allclose(
        slices, np.repeat(slices[:, :1], 4, 1), atol=1e-4 * np.abs(slices).max()
    )


@pytest.mark.parametrize("name", ["C4", "I1"])
def test_symmetric_sums_are_those_of_expanded_poses(name):
    """Few particles of a symmetric volume, poses in one asymmetric unit: the map is complete."""
    group = symmetry_rotations(name)
    volume = np.mean([rotated(unsymmetric(), r) for r in group], 0).astype(np.float32)
    rotations = Rotation.random(2000 // len(group), random_state=1).as_matrix()
    views = slicing_values(jnp.asarray(volume), GRID)

    @eqx.filter_jit
    def sums(poses):
        slices = make_slices(jnp.asarray(poses, jnp.float32), GRID)
        pixels, v = slice_volume(views, slices), len(GRID.kxyz)
        return (
            add_friedel_mates(insert_slices(pixels, slices, v), GRID),
            add_friedel_mates(insert_weights(jnp.ones(pixels.shape), slices, v), GRID),
        )

    def solve(numerator, denominator):
        floor = 1e-3 * jnp.mean(denominator)
        return np.asarray(to_real(numerator / (denominator + floor), GRID)) / gridding(BOX)

    inner = soft_edge(radii(BOX), 13.0, 15.0)
    expanded = solve(*sums(expand_poses(rotations, name)[0].astype(np.float32))) * inner
    enforced = solve(*symmetrise_sums(*sums(rotations.astype(np.float32)), GRID, name))
    fsc = volume_fsc(enforced * inner, volume * inner)[1:12]
    assert (volume_fsc(enforced * inner, expanded)[1:11] > 0.95).all()
    assert fsc.mean() > 0.95
