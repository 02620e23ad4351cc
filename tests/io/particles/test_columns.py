"""Added columns leave all others as they are."""

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.fields import SET_ASIDE
from emjax.io.labels.read import read_labels
from emjax.io.particles.columns import set_aside
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star
from tests.io.particles.same import assert_same_particles


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


@pytest.mark.parametrize("suffix", [".cs", ".star"])
def test_why_a_particle_takes_no_part_comes_back(files, cs_set, tmp_path, suffix):
    particles, path = read_particles(cs_set(files.records())), tmp_path / f"out{suffix}"
    reasons = ["none", "image", "junk", "none"]
    write_particles(path, particles, {SET_ASIDE: np.array(reasons)})
    assert set_aside(read_particles(path).source).tolist() == reasons
    write_particles(path, particles, {SET_ASIDE: np.array(["none", "image", "odd", "none"])})
    with pytest.raises(InputError, match="emjaxSetAside: found odd, expected none or image or"):
        set_aside(read_particles(path).source)
