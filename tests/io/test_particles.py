"""Particles mean the same whichever program wrote them, and go back as they came."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.lib.recfunctions import repack_fields
from scipy.spatial.transform import Rotation

from emjax.errors import InputError
from emjax.io.convert.translate import cs_from_star, star_from_cs
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.poses import (
    euler_to_matrix,
    matrix_to_euler,
    matrix_to_pose,
    pose_to_matrix,
)
from emjax.io.star.fields import relion_fields
from emjax.io.star.relion import StarParticles
from emjax.io.star.tables import read_star

SAME = ("rotations", "shifts", "defocus_u", "defocus_v", "defocus_angle", "phase_shift", "voltage",
        "spherical_aberration", "amplitude_contrast", "optics_group", "half", "contrast",
        "image_pixel_size", "index_in_stack")  # fmt: skip
angles = arrays(np.float64, (3, 3), elements=st.floats(-360, 360))


def assert_same_particles(a, b):
    for name in SAME:
        x, y = (vars(s)[name] if not isinstance(s, dict) else s[name] for s in (a, b))
        # Å, radians and matrix elements through float32.
        np.testing.assert_allclose(x, y, rtol=2e-7, atol=2e-6, err_msg=name)


def test_relion_31(files, star_set):
    particles = read_particles(star_set())
    columns = files.columns()
    assert particles.n == 4 and particles.box_size == 8 and particles.pixel_size == 3.0
    assert particles.identity.tolist() == columns["rlnImageName"]
    np.testing.assert_array_equal(particles.shifts[:, 0], columns["rlnOriginXAngst"])
    np.testing.assert_allclose(np.rad2deg(particles.defocus_angle), columns["rlnDefocusAngle"])
    assert particles.half.tolist() == [0] * 4
    assert particles.micrograph is not None and particles.micrograph[2] == "mic1.mrc"


def test_angles_are_relions():
    rot, tilt, psi = np.deg2rad([30.0, 40.0, 50.0])

    def rz(a):
        return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])

    ry = np.array([[np.cos(tilt), 0, -np.sin(tilt)], [0, 1, 0], [np.sin(tilt), 0, np.cos(tilt)]])
    expected = rz(psi) @ ry @ rz(rot)
    np.testing.assert_allclose(euler_to_matrix(np.array([[30.0, 40, 50]]))[0], expected, atol=1e-12)


@settings(deadline=None)
@given(angles)
def test_euler_angles_rotation_vectors_and_matrices_agree(euler):
    a = euler_to_matrix(euler)
    np.testing.assert_allclose(
        euler_to_matrix(matrix_to_euler(a)), a, atol=2e-7
    )  # tilt < 1e-7 is 0
    np.testing.assert_allclose(pose_to_matrix(matrix_to_pose(a)), a, atol=1e-7)
    single = matrix_to_pose(a).astype(np.float32)
    np.testing.assert_allclose(pose_to_matrix(single), a, atol=1e-6)
    v = Rotation.from_matrix(a.transpose(0, 2, 1)).as_rotvec()
    np.testing.assert_allclose(v, matrix_to_pose(a), atol=1e-7)


def test_a_zero_rotation_vector_is_the_identity():
    np.testing.assert_array_equal(pose_to_matrix(np.zeros((1, 3)))[0], np.eye(3))


@settings(max_examples=25, deadline=None)
@given(angles, arrays(np.float64, (3, 2), elements=st.floats(-99, 99)))
def test_star_to_cs_and_back(files, euler, shifts):
    columns = files.columns(3)
    for name, values in zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), euler.T, strict=True):
        columns[name] = values
    columns["rlnOriginXAngst"], columns["rlnOriginYAngst"] = shifts.T
    source = StarParticles(files.star(columns), "particles", "optics")
    there = cs_from_star(source)
    back = star_from_cs(there)
    first, second, third = relion_fields(source), cryosparc_fields(there), relion_fields(back)
    for other in (second, third):
        np.testing.assert_allclose(other["rotations"], first["rotations"], atol=1e-6)
        np.testing.assert_allclose(other["shifts"], first["shifts"], atol=1e-4)
        np.testing.assert_allclose(other["defocus_u"], first["defocus_u"], rtol=1e-6)
    assert second["identity"].tolist() == third["identity"].tolist()


def test_cs_fields_are_relions(files, cs_set):
    records = files.records()
    particles = read_particles(cs_set(records))
    assert particles.identity.tolist() == [str(uid) for uid in records["uid"]]
    np.testing.assert_allclose(particles.shifts, records["alignments3D/shift"] * 3.0)
    assert particles.half.tolist() == [1, 2, 1, 2]
    assert particles.contrast.tolist() == [-1] * 4
    turn = Rotation.from_rotvec(records["alignments3D/pose"][1].astype(float)).as_matrix().T
    np.testing.assert_allclose(particles.rotations[1], turn)


@pytest.mark.parametrize("suffix", [".cs", ".star"])
def test_cs_goes_out_and_comes_back(files, cs_set, tmp_path, suffix):
    particles = read_particles(cs_set(files.records()))
    path = tmp_path / f"out{suffix}"
    write_particles(path, particles, {"rlnClassNumber": np.array([1, 0, 2, 1])})
    again = read_particles(path)
    assert_same_particles(particles, again)
    assert again.identity.tolist() == particles.identity.tolist()
    assert read_labels(path)[1].tolist() == [0, -1, 1, 0]


def test_cs_keeps_every_field_and_type(files, cs_set, tmp_path):
    records = files.records()
    particles = read_particles(cs_set(records))
    columns = {"rlnClassNumber": np.array([1, 0, 2, 1]), "emjaxStability": np.full(4, 0.5)}
    write_particles(tmp_path / "out.cs", particles, columns)
    out = np.load(tmp_path / "out.cs", allow_pickle=False)
    names = records.dtype.names
    assert out.dtype.names[: len(names)] == names
    assert all(out.dtype[name] == records.dtype[name] for name in names)
    for name in names:
        if not name.startswith("alignments3D/class"):
            np.testing.assert_array_equal(out[name], records[name])
    assert out["alignments3D/class"].tolist() == [0, 0, 1, 0]
    assert out["alignments3D/class_posterior"].tolist() == [1, 0, 1, 1]
    assert out["emjax/stability"].tolist() == [0.5] * 4


def test_star_keeps_rows_columns_and_optics(files, star_set, tmp_path, monkeypatch):
    path = star_set()
    monkeypatch.chdir(tmp_path)
    particles = read_particles(path)
    write_particles("out/out.star", particles, {"rlnClassNumber": np.array([1, 0, 2, 1])})
    old, new = read_star(path), read_star("out/out.star")
    assert new["optics"].rows == old["optics"].rows and new["optics"].labels == tuple(files.optics)
    assert new["particles"].labels == (*old["particles"].labels, "rlnClassNumber")
    for label in old["particles"].labels:
        assert new["particles"].text(label) == old["particles"].text(label)


def test_stacks_are_found_from_anywhere_after_writing(star_set, tmp_path, monkeypatch):
    particles = read_particles(star_set())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_particles("results/p.star", particles)
    again = read_particles("results/p.star")
    assert again.stack_paths[0].samefile(particles.stack_paths[0])
    assert again.identity.tolist() == particles.identity.tolist()


@pytest.mark.parametrize("place", ["cwd", "beside", "image_root", "project"])
def test_relative_stacks_are_found_as_relion_means_them(star_set, tmp_path, monkeypatch, place):
    path, root = star_set(), None
    other = tmp_path / "other"
    (other / "Refine3D" / "job012").mkdir(parents=True)
    monkeypatch.chdir(other)
    if place == "cwd":
        shutil.move(tmp_path / "stack.mrcs", other / "stack.mrcs")
    elif place == "image_root":
        (tmp_path / "images").mkdir()
        shutil.move(tmp_path / "stack.mrcs", tmp_path / "images" / "stack.mrcs")
        root = tmp_path / "images"
    elif place == "project":
        shutil.move(tmp_path / "stack.mrcs", other / "stack.mrcs")
        path = shutil.move(path, other / "Refine3D" / "job012" / "run_data.star")
        monkeypatch.chdir(tmp_path)
    assert read_particles(path, root).n == 4


def test_absolute_paths_of_moved_data_are_found_below_the_image_root(star_set, tmp_path):
    names = [f"{i + 1}@/gone/Extract/job2/stack.mrcs" for i in range(4)]
    path = star_set(rlnImageName=names)
    (tmp_path / "new" / "job2").mkdir(parents=True)
    shutil.move(tmp_path / "stack.mrcs", tmp_path / "new" / "job2" / "stack.mrcs")
    with pytest.raises(InputError, match="/gone/Extract/job2/stack.mrcs: found no such file"):
        read_particles(path)
    particles = read_particles(path, tmp_path / "new")
    assert particles.stack_paths == (tmp_path / "new" / "job2" / "stack.mrcs",)


def test_the_current_folder_comes_first(files, star_set, tmp_path, monkeypatch):
    path = star_set()
    (tmp_path / "project").mkdir()
    files.stack(tmp_path / "project" / "stack.mrcs", n=9)
    monkeypatch.chdir(tmp_path / "project")
    assert read_particles(path).stack_paths == (tmp_path / "project" / "stack.mrcs",)


def test_a_job_folder_is_read_like_its_last_file(star_set, tmp_path):
    path = star_set()
    for name in ("run_it001_data.star", "run_it012_data.star", "run_ct9_it010_data.star"):
        shutil.copy(path, tmp_path / name)
    particles = read_particles(tmp_path)
    assert isinstance(particles.source, StarParticles)
    assert particles.source.file.endswith("run_it012_data.star")
    shutil.copy(path, tmp_path / "run_data.star")
    source = read_particles(tmp_path).source
    assert source.file.endswith("run_data.star")


def test_relion_30_has_pixels_and_magnification(star_set):
    flat = {"rlnVoltage": [300.0] * 4, "rlnSphericalAberration": [2.7] * 4,
            "rlnAmplitudeContrast": [0.1] * 4, "rlnMagnification": [10000] * 4,
            "rlnDetectorPixelSize": [3.0] * 4, "rlnOriginX": [1.0, 2, 3, 4],
            "rlnOpticsGroup": None, "rlnOriginXAngst": None}  # fmt: skip
    particles = read_particles(star_set(None, **flat))
    assert particles.pixel_size == 3.0 and particles.shifts[:, 0].tolist() == [3, 6, 9, 12]


def test_a_single_optics_group_needs_no_column(star_set):
    particles = read_particles(star_set(rlnOpticsGroup=None))
    assert particles.pixel_size == 3.0 and particles.voltage[0] == 300


def test_copies_of_one_image_with_other_poses_are_particles_of_their_own(star_set):
    names = ["1@stack.mrcs", "000001@stack.mrcs", "2@stack.mrcs", "000001@./stack.mrcs"]
    particles = read_particles(star_set(rlnImageName=names))
    assert particles.identity.tolist() == [
        "000001@stack.mrcs", "000001@stack.mrcs#2", "000002@stack.mrcs", "000001@stack.mrcs#3"
    ]  # fmt: skip


def test_copies_of_one_image_are_known_as_such(star_set):
    names = ["3@stack.mrcs", "1@stack.mrcs", "000003@stack.mrcs", "2@./stack.mrcs"]
    assert read_particles(star_set(rlnImageName=names)).image.tolist() == [2, 0, 2, 1]


def test_a_single_half_set_is_none(star_set):
    assert read_particles(star_set(rlnRandomSubset=[2] * 4)).half.tolist() == [0] * 4
    assert read_particles(star_set(rlnRandomSubset=[2, 1, 1, 1])).half.tolist() == [2, 1, 1, 1]


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


def test_passthrough_is_joined_on_uid_in_the_order_of_the_file(files, cs_set, tmp_path):
    records = files.records()
    own = [n for n in records.dtype.names if n == "uid" or n.startswith("alignments3D")]
    rest = [n for n in records.dtype.names if not n.startswith("alignments3D")]
    whole = read_particles(cs_set(records))
    path = cs_set(repack_fields(records[own]))
    with (tmp_path / "J7_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, repack_fields(records[rest])[::-1])
    with (tmp_path / "J8_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, files.records(seed=9)[rest])
    joined = read_particles(path)
    assert joined.identity.tolist() == whole.identity.tolist()
    assert_same_particles(joined, whole)
    write_particles(tmp_path / "out.cs", joined)
    assert (
        np.load(tmp_path / "out.cs", allow_pickle=False).dtype == repack_fields(records[own]).dtype
    )


def test_groups_name_their_tables(files, cs_set, tmp_path):
    records = files.records()
    path = cs_set(records)
    (tmp_path / "J7_particles.csg").write_text(
        "group: {name: particles}\nresults:\n"
        "  blob: {metafile: '>J7_particles.cs', num_items: 4}\n"
        '  ctf: {metafile: ">J7_particles.cs", num_items: 4}\n'
        "  alignments3D:\n    metafile: J7_particles.cs\n"
    )
    assert_same_particles(read_particles(tmp_path / "J7_particles.csg"), read_particles(path))


def test_symlinked_exports_are_followed(files, cs_set, tmp_path, monkeypatch):
    path = cs_set(files.records())
    (tmp_path / "export").mkdir()
    os.symlink(path, tmp_path / "export" / "particles.cs")
    shutil.move(tmp_path / "stack.mrcs", tmp_path / "real.mrcs")
    os.symlink(tmp_path / "real.mrcs", tmp_path / "stack.mrcs")
    monkeypatch.chdir("/")
    assert read_particles(tmp_path / "export" / "particles.cs").n == 4


def test_optics_groups_of_different_size_are_refused_or_resampled(files, star_set, tmp_path):
    optics = {k: [v[0], v[0]] for k, v in files.optics.items()}
    optics |= {"rlnOpticsGroup": [1, 2], "rlnImagePixelSize": [3.0, 2.9]}
    names = [f"{i}@stack.mrcs" for i in (1, 2)] + [f"{i}@other.mrcs" for i in (1, 2)]
    path = star_set(optics, rlnImageName=names, rlnOpticsGroup=[1, 1, 2, 2])
    files.stack(tmp_path / "other.mrcs", pixel_size=2.9)
    with pytest.raises(InputError, match="group 2: 8 px of 2.9 Å.*group 1: 8 px of 3 Å"):
        read_particles(path)
    particles = read_particles(path, on_mixed_optics="resample")
    assert particles.pixel_size == 3.0 and particles.box_size == 6
    assert particles.image_pixel_size.tolist() == [3.0, 3.0, 2.9, 2.9]


def test_selecting_keeps_the_files_lines(star_set, tmp_path):
    path = star_set()
    kept = read_particles(path).select(np.array([True, False, False, True]))
    write_particles(tmp_path / "kept.star", kept)
    rows = read_star(tmp_path / "kept.star")["particles"].text("someoneElsesColumn")
    assert rows == ["x0", "x3"] and kept.n == 2


@pytest.mark.parametrize("kind", ["star", "cs"])
@pytest.mark.parametrize("suffix", [".star", ".cs"])
def test_nothing_selected_is_still_a_file(star_set, cs_set, files, tmp_path, kind, suffix):
    halves = {"rlnRandomSubset": [1, 2, 1, 2]}
    path = star_set(**halves) if kind == "star" else cs_set(files.records())
    none = read_particles(path).select(np.zeros(4, bool))
    write_particles(tmp_path / f"none{suffix}", none, {"rlnClassNumber": np.zeros(0, int)})
    if suffix == ".star":
        assert len(read_star(tmp_path / "none.star")["particles"]) == 0
    else:
        assert len(np.load(tmp_path / "none.cs", allow_pickle=False)) == 0


def test_a_missing_amplitude_contrast_is_told(files, star_set):
    optics = {k: v for k, v in files.optics.items() if k != "rlnAmplitudeContrast"}
    with pytest.warns(UserWarning, match="rlnAmplitudeContrast; taken as 0"):
        assert read_particles(star_set(optics)).amplitude_contrast.tolist() == [0] * 4


@pytest.mark.parametrize("suffix", [".star", ".cs"])
@pytest.mark.filterwarnings("ignore:.*rlnAmplitudeContrast")
def test_interop_files_round_trip(interop, tmp_path, suffix):
    for path in sorted([*interop.glob("*.star"), *interop.glob("*.cs")]):
        particles = read_particles(path, check_images=False, require_poses=False)
        particles = particles if particles.box_size else replace(particles, box_size=320)
        write_particles(tmp_path / f"out{suffix}", particles)
        again = read_particles(tmp_path / f"out{suffix}", check_images=False, require_poses=False)
        np.testing.assert_allclose(again.rotations, particles.rotations, atol=1e-6)
        np.testing.assert_allclose(again.shifts, particles.shifts, atol=1e-4)
        assert again.index_in_stack.tolist() == particles.index_in_stack.tolist()
        if path.suffix == suffix:
            assert again.identity.tolist() == particles.identity.tolist()


def test_real_particles_open(interop):
    particles = read_particles(interop / "empiar_10076_7.cs", require_poses=False)
    assert particles.n == 7 and particles.box_size == 320
    with pytest.raises(InputError, match="no poses"):
        read_particles(interop / "empiar_10076_7.cs")


def test_spliceosome(shared_data):
    particles = read_particles(shared_data / "data" / "spliceosome" / "particles.star")
    assert (particles.n, particles.box_size, particles.pixel_size) == (8000, 64, 6.0)
