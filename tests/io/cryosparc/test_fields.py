"""CryoSPARC's fields mean what RELION's columns mean."""

import numpy as np
import pytest
from scipy.linalg import expm

from emjax.errors import InputError
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles
from emjax.io.poses import pose_to_matrix


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


def test_real_particles_open(interop):
    particles = read_particles(interop / "empiar_10076_7.cs", require_poses=False)
    assert particles.n == 7 and particles.box_size == 320
    with pytest.raises(InputError, match="no poses"):
        read_particles(interop / "empiar_10076_7.cs")
