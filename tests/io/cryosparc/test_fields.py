"""CryoSPARC's fields mean what RELION's columns mean."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from emjax.errors import InputError
from emjax.imaging.ctf import evaluate_ctf
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.poses import pose_to_matrix
from emjax.jobs.prepared import ctf_of

X = jnp.linspace(0, 0.1, 5)  # 1/Å


def test_cs_fields_are_relions(files, cs_set):
    records = files.records()
    particles = read_particles(cs_set(records))
    assert particles.identity.tolist() == [str(uid) for uid in records["uid"]]
    np.testing.assert_allclose(particles.shifts, records["alignments3D/shift"] * 3.0)
    assert particles.half.tolist() == [1, 2, 1, 2]
    assert particles.contrast.tolist() == [-1] * 4
    x, y, z = records["alignments3D/pose"][1].astype(float)
    rotation = expm([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    np.testing.assert_allclose(particles.rotations[1], rotation.T, atol=1e-12)


def test_alignments_of_several_classes_give_the_likeliest_one(files, cs_set):
    records = files.records()
    k = 3
    fields = [(n, records.dtype[n]) for n in records.dtype.names if "alignments3D" not in n]
    multi = [
        ("alignments3D_multi/pose", "<f4", (k, 3)),
        ("alignments3D_multi/shift", "<f4", (k, 2)),
        ("alignments3D_multi/class_posterior", "<f4", (k,)),
        ("alignments3D_multi/psize_A", "<f4"),
        ("alignments3D_multi/split", "<u4"),
    ]
    new = np.zeros(len(records), np.dtype(fields + multi))
    for name, *_ in fields:
        new[name] = records[name]
    new["alignments3D_multi/psize_A"] = 3
    new["alignments3D_multi/class_posterior"] = [[0.2, 0.7, 0.1]] * 3 + [[0.5, 0.2, 0.3]]
    new["alignments3D_multi/pose"] = np.random.default_rng(0).normal(size=(4, k, 3))
    path = cs_set(new)
    particles = read_particles(path)
    pose = new["alignments3D_multi/pose"]
    expected = pose_to_matrix(np.stack([pose[0, 1], pose[1, 1], pose[2, 1], pose[3, 0]]))
    np.testing.assert_allclose(particles.rotations, expected, atol=1e-6)
    identity, labels, posteriors = read_labels(path)
    assert labels.tolist() == [1, 1, 1, 0] and posteriors is not None
    np.testing.assert_array_equal(posteriors, new["alignments3D_multi/class_posterior"])


def test_alignments_of_version_2_are_those_of_several_classes(files, cs_set):
    records, rng = files.records(), np.random.default_rng(0)
    names = [n for n in records.dtype.names if "alignments3D" not in n]
    kinds = [(n, records.dtype[n]) for n in names]
    for k in range(2):
        slot = f"alignments_class_{k}"
        kinds += [(f"{slot}/pose", "<f4", (3,)), (f"{slot}/shift", "<f4", (2,))]
        kinds += [(f"{slot}/class_posterior", "<f4"), (f"{slot}/split", "<u4")]
    new = np.zeros(len(records), np.dtype(kinds))
    for name in names:
        new[name] = records[name]
    for k in range(2):
        new[f"alignments_class_{k}/pose"] = rng.normal(size=(4, 3))
        new[f"alignments_class_{k}/shift"] = k + 1
        new[f"alignments_class_{k}/split"] = [0, 1, 0, 1]
    new["alignments_class_0/class_posterior"] = [0.9, 0.1, 0.2, 0.8]
    new["alignments_class_1/class_posterior"] = [0.1, 0.9, 0.8, 0.2]
    particles = read_particles(cs_set(new))
    best = [0, 1, 1, 0]
    poses = [new[f"alignments_class_{k}/pose"][row] for row, k in enumerate(best)]
    np.testing.assert_allclose(particles.rotations, pose_to_matrix(np.stack(poses)), atol=1e-6)
    np.testing.assert_allclose(particles.shifts[:, 0], [3.0, 6.0, 6.0, 3.0])
    assert particles.half.tolist() == [1, 2, 1, 2]
    assert read_labels(cs_set(new))[1].tolist() == best


def test_images_aligned_in_2d_keep_their_angle(files, cs_set, star_set, tmp_path):
    records = files.records()
    names = [n for n in records.dtype.names if "alignments3D" not in n and "ctf/" not in n]
    kinds = [(n, records.dtype[n]) for n in names]
    kinds += [("alignments2D/pose", "<f4"), ("alignments2D/shift", "<f4", (2,))]
    new = np.zeros(len(records), np.dtype(kinds))
    for name in names:
        new[name] = records[name]
    new["alignments2D/pose"], new["alignments2D/shift"] = [0, 0.5, 1, -2], 2
    found = read_particles(cs_set(new), require_poses=False, require_ctf=False)
    psi = np.rad2deg(new["alignments2D/pose"])
    columns = {"rlnAngleRot": None, "rlnAngleTilt": None, "rlnDefocusU": None, "rlnAnglePsi": psi}
    star = read_particles(star_set(**columns), require_poses=False, require_ctf=False)
    np.testing.assert_allclose(found.rotations, star.rotations, atol=1e-6)
    np.testing.assert_allclose(found.shifts, 6.0)
    for particles in (found, star):
        np.testing.assert_allclose(evaluate_ctf(ctf_of(particles), X, 2 * X), 1, atol=1e-6)
        write_particles(tmp_path / "again.cs", particles)
        names = np.load(tmp_path / "again.cs").dtype.names
        assert "blob/path" in names and not any(name.startswith("ctf/") for name in names)


def test_real_particles_open(interop):
    particles = read_particles(interop / "empiar_10076_7.cs", require_poses=False)
    assert particles.n == 7 and particles.box_size == 320
    with pytest.raises(InputError, match="no poses"):
        read_particles(interop / "empiar_10076_7.cs")
