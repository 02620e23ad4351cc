"""Copies of an image (symmetry expansion) are joined by pose, in any order and any subset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.errors import InputError
from emjax.imaging.symmetry import symmetry_rotations
from emjax.io.convert.convert import convert
from emjax.io.labels.copies import find_copies
from emjax.io.labels.join import join_labels
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import write_star

N = 6  # images


def expanded(symmetry: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, rotation and origin of every copy."""
    rng = np.random.default_rng(seed)
    group = symmetry_rotations(symmetry)
    turns = np.linalg.qr(rng.normal(size=(N, 3, 3)))[0]
    turns *= np.linalg.det(turns)[:, None, None]
    rotations = np.einsum("nij,gjk->ngik", turns, group).reshape(-1, 3, 3)
    shifts = np.repeat(rng.normal(0, 5, (N, 2)), len(group), 0)
    names = np.array([f"{i + 1:06d}@stack.mrcs" for i in range(N)])
    return np.repeat(names, len(group)), rotations, shifts


@given(st.sampled_from(["C2", "D3", "T", "I1"]), st.integers(0, 999), st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_any_order_and_any_subset(symmetry: str, seed: int, error: float):
    """Also where the other file's poses were refined by a few degrees and Å."""
    images, rotations, shifts = expanded(symmetry, seed)
    rng = np.random.default_rng(seed)
    mine, theirs = (rng.permutation(len(images))[: rng.integers(2, len(images))] for _ in "ab")
    moved = small_rotations(rng, len(theirs), error) @ rotations[theirs]
    at = (moved, shifts[theirs] + rng.uniform(-1, 1, (len(theirs), 2)) * error)
    pool = np.concatenate([images[mine], images[theirs]])
    if not any(np.unique(i, return_counts=True)[1].max() > 1 for i in (images[mine], pool)):
        return
    rows = find_copies(images[mine], (rotations[mine], shifts[mine]), images[theirs], at, "b.star")
    place = {row: k for k, row in enumerate(theirs.tolist())}
    right = np.array([place.get(row, -1) for row in mine.tolist()])
    apart = [len(np.unique(images[i])) < len(i) for i in (mine, theirs)]
    if any(apart):
        np.testing.assert_array_equal(rows, right)


def small_rotations(rng: np.random.Generator, n: int, degrees: float) -> np.ndarray:
    """About random axes."""
    axes = rng.normal(size=(n, 3))
    axes *= np.deg2rad(degrees) / np.linalg.norm(axes, axis=1, keepdims=True)
    cross = np.zeros((n, 3, 3))
    cross[:, 2, 1], cross[:, 0, 2], cross[:, 1, 0] = axes.T
    cross -= cross.transpose(0, 2, 1)
    return np.eye(3) + cross + cross @ cross / 2


@pytest.fixture
def copies(star_set: Callable[..., Path], files) -> dict[str, np.ndarray]:
    """Columns of four images, each at two poses half a turn apart, with a class of each row."""
    columns = {k: np.repeat(v, 2, 0) for k, v in files.columns().items()}
    columns["rlnAngleRot"] = columns["rlnAngleRot"] + np.tile([0, 180], 4)
    star_set(**columns)
    return columns | {"rlnClassNumber": np.array([1, 2, 2, 1, 1, 2, 3, 1])}


def chosen(columns: dict[str, np.ndarray], rows: list[int]) -> dict[str, np.ndarray]:
    return {k: np.asarray(v)[rows] for k, v in columns.items()}


@pytest.mark.parametrize("rows", [[1, 0, 3, 2, 5, 4, 7, 6], [7, 5, 3, 1], [6, 1, 2]])
@pytest.mark.parametrize("folder", ["", "other/"])
def test_rows_of_a_file_are_joined_by_pose(copies, files, tmp_path, rows, folder):
    theirs = chosen(copies, rows)
    theirs["rlnImageName"] = np.array(
        [n.replace("@", f"@{folder}") for n in theirs["rlnImageName"]]
    )
    write_star(tmp_path / "run.star", files.star(theirs))
    joined = join_labels(read_particles(tmp_path / "particles.star"), tmp_path / "run.star")
    right = np.full(8, -1)
    right[rows] = copies["rlnClassNumber"][rows] - 1
    assert joined.labels.tolist() == right.tolist() and "pose" in joined.joined_on
    assert not joined.extra and set(joined.missing) == set(range(8)) - set(rows)


def test_a_subset_of_one_copy_per_image_is_joined_by_pose(copies, files, tmp_path):
    own = [1, 2, 5, 6]
    write_star(tmp_path / "mine.star", files.star(chosen(copies, own)))
    write_star(tmp_path / "run.star", files.star(copies))
    joined = join_labels(read_particles(tmp_path / "mine.star"), tmp_path / "run.star")
    assert joined.labels.tolist() == (copies["rlnClassNumber"][own] - 1).tolist()
    assert len(joined.extra) == 4


def test_a_cs_file_of_copies_is_joined_by_pose(copies, files, tmp_path):
    write_star(tmp_path / "run.star", files.star(chosen(copies, [5, 0, 7, 2, 1])))
    convert(tmp_path / "run.star", tmp_path / "run.cs")
    joined = join_labels(read_particles(tmp_path / "particles.star"), tmp_path / "run.cs")
    right = np.full(8, -1)
    right[[5, 0, 7, 2, 1]] = copies["rlnClassNumber"][[5, 0, 7, 2, 1]] - 1
    assert joined.labels.tolist() == right.tolist()


def test_copies_without_poses_are_refused(copies, files, tmp_path):
    lines = [f"{n},{c}" for n, c in zip(copies["rlnImageName"], range(1, 9), strict=True)][::2]
    (tmp_path / "run.csv").write_text("\n".join(["image,class", *lines]))
    with pytest.raises(InputError, match=r"run.csv: found no poses, .* the angles of each row"):
        join_labels(read_particles(tmp_path / "particles.star"), tmp_path / "run.csv")


def test_a_particle_twice_is_refused(copies, files, tmp_path):
    write_star(tmp_path / "run.star", files.star(chosen(copies, [0, 1, 1])))
    with pytest.raises(InputError, match="run.star: row 2: found 000001@.* twice with the same"):
        join_labels(read_particles(tmp_path / "particles.star"), tmp_path / "run.star")
