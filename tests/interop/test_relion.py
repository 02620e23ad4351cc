"""RELION's own programs read what emjax writes, and mean the same by a pose."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emjax.imaging.reconstruct import reconstruct
from emjax.io.convert.convert import convert
from emjax.io.export.classes import ExportedClass
from emjax.io.export.programs import export_campaign
from emjax.io.export.relion import export_relion
from emjax.io.labels.read import read_labels
from emjax.io.mrc.references import read_references, write_averages, write_templates
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import ParticleSet, read_particles, write_particles
from emjax.io.poses import matrix_to_euler
from emjax.io.star.tables import StarFile, make_table, read_star, write_star
from emjax.jobs.preparation import aligned_images
from emjax.simulate.particles import phantom

PROGRAMS = ("project", "reconstruct", "ctf_toolbox", "star_handler", "star_printtable",
            "image_handler", "postprocess", "refine")  # fmt: skip
MISSING = [f"relion_{name}" for name in PROGRAMS if shutil.which(f"relion_{name}") is None]
pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
N, BOX, PIXEL = 400, 32, 6.0


def relion(program: str, *options: object, cwd: Path) -> str:
    """Run one of RELION's programs; what it prints."""
    command = [f"relion_{program}", *map(str, options)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    return done.stdout


def correlation(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    return float(np.corrcoef(a[mask], b[mask])[0, 1])


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with 400 images of a phantom, made by relion_project."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    write_volume(folder / "phantom.mrc", phantom(1, BOX)[0], PIXEL)
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["opticsGroup1"], "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1],
        "rlnImagePixelSize": [PIXEL], "rlnImageSize": [BOX], "rlnImageDimensionality": [2],
    }  # fmt: skip
    defocus = rng.uniform(8000, 20000, N)
    particles = {
        "rlnImageName": [f"{i + 1:06d}@images.mrcs" for i in range(N)],
        "rlnMicrographName": [f"mic{i // 50}.mrc" for i in range(N)],
        "rlnOpticsGroup": np.ones(N, int),
        "rlnDefocusU": defocus.round(2), "rlnDefocusV": (defocus - 500).round(2),
        "rlnDefocusAngle": rng.uniform(0, 180, N).round(3),
        "rlnAngleRot": rng.uniform(-180, 180, N).round(4),
        "rlnAngleTilt": np.rad2deg(np.arccos(rng.uniform(-1, 1, N))).round(4),
        "rlnAnglePsi": rng.uniform(-180, 180, N).round(4),
        "rlnOriginXAngst": rng.normal(0, 8, N).round(4),
        "rlnOriginYAngst": rng.normal(0, 8, N).round(4),
        "rlnRandomSubset": np.arange(N) % 2 + 1,
        "labNotebookPage": rng.integers(1, 99, N),
    }  # fmt: skip
    tables = (make_table("optics", optics), make_table("particles", particles))
    write_star(folder / "poses.star", StarFile(tables))
    relion("project", "--i", "phantom.mrc", "--ang", "poses.star", "--o", "images", "--ctf",
           "--angpix", PIXEL, cwd=folder)  # fmt: skip
    write_star(folder / "particles.star", StarFile(tables))
    return folder


def mask_of(folder: Path) -> np.ndarray:
    volume = read_volume(folder / "phantom.mrc")[0]
    return volume > 0.05 * volume.max()


def our_map(particles: ParticleSet) -> np.ndarray:
    images = aligned_images(particles)
    ones = np.ones(particles.n)
    return reconstruct(
        images.undistorted,
        particles.rotations,
        particles.shifts,
        images.ctf,
        ones,
        np.zeros(particles.n, np.int64),
        particles.half,
        np.ones((1, particles.box_size // 2)),
        particles.box_size,
        particles.pixel_size,
    ).volume


def test_poses_shifts_and_ctf_mean_the_same(project):
    relion("reconstruct", "--i", "particles.star", "--o", "relion.mrc", "--ctf", "--angpix", PIXEL,
           cwd=project)  # fmt: skip
    theirs = read_volume(project / "relion.mrc")[0]
    ours = our_map(read_particles(project / "particles.star"))
    mask = mask_of(project)
    assert correlation(ours, theirs, mask) >= 0.95
    assert correlation(ours, read_volume(project / "phantom.mrc")[0], mask) >= 0.95


def test_a_wrong_sign_would_be_seen(project):
    particles = read_particles(project / "particles.star")
    truth, mask = read_volume(project / "phantom.mrc")[0], mask_of(project)
    right = correlation(our_map(particles), truth, mask)
    turned = replace(particles, rotations=np.swapaxes(particles.rotations, 1, 2))
    moved = replace(particles, shifts=-particles.shifts)
    assert correlation(our_map(turned), truth, mask) < right - 0.1
    assert correlation(our_map(moved), truth, mask) < right - 0.1


def test_cs_and_star_give_the_same_map_bit_by_bit_of_pose(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    convert("particles.star", tmp_path / "particles.cs")
    star, cs = (read_particles(p) for p in ("particles.star", tmp_path / "particles.cs"))
    np.testing.assert_allclose(cs.rotations, star.rotations, atol=1e-6)
    np.testing.assert_allclose(cs.shifts, star.shifts, atol=1e-4)
    assert cs.half.tolist() == star.half.tolist() and cs.image.tolist() == star.image.tolist()
    # float32 poses
    np.testing.assert_allclose(our_map(cs), our_map(star), atol=1e-4 * our_map(star).max())


def test_reconstruct_reads_our_file_from_another_folder(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    particles = read_particles(project / "particles.star")
    number = np.where(np.arange(N) < 300, 1, 0)
    write_particles("results/particles.star", particles, {
        "rlnClassNumber": number, "emjaxStability": np.full(N, 0.5)})  # fmt: skip
    relion("star_handler", "--i", "results/particles.star", "--o", "one.star",
           "--select", "rlnClassNumber", "--minval", 1, "--maxval", 1, cwd=tmp_path)  # fmt: skip
    relion("reconstruct", "--i", "one.star", "--o", "one.mrc", "--ctf", "--angpix", PIXEL,
           cwd=tmp_path)  # fmt: skip
    ours = our_map(particles.select(np.flatnonzero(number)))
    assert correlation(ours, read_volume("one.mrc")[0], mask_of(project)) >= 0.95


def test_star_handler_finds_nothing_changed(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    write_particles(tmp_path / "ours.star", read_particles("particles.star"))
    said = relion("star_handler", "--i", tmp_path / "ours.star", "--compare", "particles.star",
                  "--label1", "rlnImageName", "--o", tmp_path / "difference.star",
                  cwd=project)  # fmt: skip
    assert f"{N} entries occur in both" in said and "0 entries occur only in the 1st" in said


def test_unknown_columns_survive_relion(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    particles = read_particles("particles.star")
    write_particles(tmp_path / "ours.star", particles, {"emjaxStability": np.arange(N) / N})
    relion("star_handler", "--i", tmp_path / "ours.star", "--o", tmp_path / "theirs.star",
           "--select", "rlnDefocusU", "--minval", 0, cwd=project)  # fmt: skip
    ours, theirs = (read_star(tmp_path / f"{who}.star")["particles"] for who in ("ours", "theirs"))
    assert theirs.numbers("emjaxStability").tolist() == ours.numbers("emjaxStability").tolist()
    assert theirs.text("labNotebookPage") == ours.text("labNotebookPage")
    again = read_particles(tmp_path / "theirs.star")
    assert again.identity.tolist() == particles.identity.tolist()


@pytest.fixture(scope="module")
def class3d(project) -> Path:
    """A Class3D job of one iteration, run by relion_refine."""
    job = project / "Class3D" / "job007"
    job.mkdir(parents=True)
    relion("refine", "--i", "particles.star", "--o", "Class3D/job007/run", "--ref", "phantom.mrc",
           "--ctf", "--K", 2, "--iter", 1, "--skip_align", "--particle_diameter", 180,
           "--zero_mask", "--norm", "--scale", "--pad", 1, "--j", 1, "--pool", 30,
           "--dont_combine_weights_via_disc", "--preread_images", "--random_seed", 1,
           "--ini_high", 40, cwd=project)  # fmt: skip
    return job


def test_class3d_jobs_are_read_by_folder(class3d, project, monkeypatch):
    monkeypatch.chdir(project)
    identity, labels, _ = read_labels(class3d)
    particles = read_particles(class3d)
    ours = read_particles("particles.star")
    assert sorted(identity.tolist()) == sorted(ours.identity.tolist())
    assert set(labels.tolist()) <= {0, 1}
    np.testing.assert_allclose(
        particles.rotations[np.argsort(particles.identity)],
        ours.rotations[np.argsort(ours.identity)],
        atol=1e-6,
    )


def test_exported_job_is_one_of_class3d(class3d, project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    particles = read_particles("particles.star")
    number = np.arange(N) % 3
    maps = [class3d / f"run_it001_class00{k}.mrc" for k in (1, 2)]
    rng = np.random.default_rng(0)
    halves = (tmp_path / "half1.mrc", tmp_path / "half2.mrc")
    for half in halves:
        volume = read_volume(maps[0])[0]
        write_volume(half, volume + rng.normal(0, volume.std(), volume.shape), PIXEL)
    classes = [ExportedClass(m, halves, 24.0, np.linspace(1, 0, BOX // 2)) for m in maps]
    folder = project / "emjax"
    columns = {"rlnClassNumber": number, "rlnMaxValueProbDistribution": np.full(N, 0.9)}
    export_relion(folder, particles, columns, classes)

    theirs, ours = (read_star(path) for path in (class3d / "run_it001_model.star",
                                                 folder / "run_it025_model.star"))  # fmt: skip
    for name in ("model_general", "model_classes", "model_class_1", "model_groups"):
        assert set(ours[name].labels) <= set(theirs[name].labels), name
    printed = relion("star_printtable", folder / "run_it025_model.star", "data_model_classes",
                     "rlnReferenceImage", "rlnEstimatedResolution", cwd=project)  # fmt: skip
    assert printed.split()[0].endswith("run_it025_class001.mrc") and "24.0" in printed
    printed = relion("star_printtable", folder / "run_it025_data.star", "data_particles",
                     "rlnImageName", "rlnClassNumber", cwd=project)  # fmt: skip
    lines = printed.split("\n")
    assert lines[0].split() == ["000002@images.mrcs", "1"]
    assert len(lines) - 1 == (number > 0).sum()
    said = relion("image_handler", "--i", folder / "run_it025_class001.mrc", "--stats", cwd=project)
    assert "angpix = 6" in said and "32 x 32 x 32" in said
    write_volume(tmp_path / "mask.mrc", mask_of(project).astype(np.float32), PIXEL)
    relion("postprocess", "--i", folder / "run_half1_class001_unfil.mrc", "--angpix", PIXEL,
           "--mask", tmp_path / "mask.mrc",
           "--o", tmp_path / "post", cwd=project)  # fmt: skip
    assert (tmp_path / "post.mrc").exists()


def test_a_campaigns_export_from_cs_goes_back_to_relion(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    convert("particles.star", "from_relion.cs")
    particles = read_particles("from_relion.cs")
    volume = project / "phantom.mrc"
    columns = {"rlnClassNumber": np.ones(N, int)}
    export_campaign(tmp_path, particles, columns, [ExportedClass(volume)])
    relion("reconstruct", "--i", tmp_path / "relion" / "run_it025_data.star", "--ctf",
           "--angpix", PIXEL, "--o", tmp_path / "map.mrc", cwd=project)  # fmt: skip
    theirs = read_volume(tmp_path / "map.mrc")[0]
    assert correlation(theirs, read_volume(volume)[0], mask_of(project)) >= 0.95


@pytest.mark.parametrize("name", ["relion31", "relion31.6opticsgroups", "relion5"])
def test_translated_files_of_others_parse(shared_data, tmp_path, name):
    convert(shared_data / "data" / "interop" / f"{name}.star", tmp_path / "a.cs")
    (tmp_path / "a_passthrough.star").unlink()
    convert(tmp_path / "a.cs", tmp_path / "b.star")
    n = len(read_star(tmp_path / "b.star")["particles"])
    said = relion("star_handler", "--i", "b.star", "--o", "c.star", "--select", "rlnDefocusU",
                  "--minval", -1e9, cwd=tmp_path)  # fmt: skip
    assert f"with {n} item" in said


def test_angles_written_are_relions(project):
    particles = read_particles(project / "particles.star")
    table = read_star(project / "particles.star")["particles"]
    angles = matrix_to_euler(particles.rotations)
    for k, label in enumerate(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")):
        difference = (angles[:, k] - table.numbers(label) + 180) % 360 - 180
        np.testing.assert_allclose(difference, 0, atol=1e-6)


def test_relion_reads_class_averages_and_reference_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).standard_normal((3, BOX, BOX)).astype(np.float32)
    shares = {"rlnClassDistribution": np.array([0.5, 0.125, 0.375])}
    write_averages(Path("averages.mrcs"), images, PIXEL, shares)
    printed = relion("star_printtable", "averages.star", "data_", "rlnImageName",
                     "rlnClassDistribution", cwd=tmp_path)  # fmt: skip
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    assert [line[0] for line in lines] == [f"{i:06d}@averages.mrcs" for i in (1, 2, 3)]
    assert [float(line[1]) for line in lines] == [0.5, 0.125, 0.375]
    said = relion("image_handler", "--i", "averages.star", "--stats", cwd=tmp_path)
    means = [float(mean) for mean in re.findall(r"avg= (\S+)", said)]
    # Six digits are printed.
    np.testing.assert_allclose(means, images.mean((1, 2)), atol=1e-6)
    assert said.count(f"angpix = {PIXEL:g}\n") == 3
    write_templates(tmp_path, read_references([Path("averages.star")]), np.array([0, -1, 0]))
    printed = relion("star_printtable", "templates.star", "data_", "rlnClassNumber", cwd=tmp_path)
    assert printed.split() == ["1", "3"]
