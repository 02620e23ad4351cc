"""Labels find their particles under the names other programs gave them."""

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.convert.convert import convert
from emjax.io.labels.join import join_labels
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import write_star

CLASSES = [2, 1, 0, 3]


def test_rows_come_in_the_particles_order(star_set, files, tmp_path):
    particles = read_particles(star_set())
    columns = files.columns() | {"rlnClassNumber": CLASSES}
    order = [2, 0, 3]
    shuffled = {k: [v[i] for i in order] for k, v in columns.items()}
    shuffled["rlnImageName"][2] = "9@stack.mrcs"
    write_star(tmp_path / "other.star", files.star(shuffled))
    joined = join_labels(particles, tmp_path / "other.star")
    assert joined.labels.tolist() == [1, -1, -1, -1] and joined.joined_on == "key"
    assert joined.missing.tolist() == [1, 3] and joined.extra == ("000009@stack.mrcs",)


@pytest.mark.parametrize("folder", ["", "/some/project/Extract/job012/"])
def test_other_spellings_and_folders(star_set, tmp_path, folder):
    particles = read_particles(star_set())
    lines = [f"{i + 1}@{folder}stack.mrcs,{c}" for i, c in enumerate(CLASSES)]
    (tmp_path / "a.csv").write_text("\n".join(["image,class", *lines]))
    joined = join_labels(particles, tmp_path / "a.csv")
    assert joined.labels.tolist() == [1, 0, -1, 2] and not joined.extra
    expected = "image name without folder" if folder else "image name"
    assert joined.joined_on == expected


def test_a_cs_run_of_a_star_campaign_and_the_other_way(star_set, tmp_path):
    path = star_set(rlnClassNumber=CLASSES)
    convert(path, tmp_path / "run.cs")
    joined = join_labels(read_particles(path), tmp_path / "run.cs")
    assert joined.labels.tolist() == [1, 0, -1, 2] and joined.joined_on == "image name"
    joined = join_labels(read_particles(tmp_path / "run.cs"), path)
    assert joined.labels.tolist() == [1, 0, -1, 2] and joined.joined_on == "image name"


def test_posteriors_follow(star_set, tmp_path):
    particles = read_particles(star_set())
    keys = particles.identity[[1, 0]]
    np.savez(tmp_path / "a.npz", identity=keys, labels=[0, 1], posteriors=[[0.9, 0.1], [0.2, 0.8]])
    joined = join_labels(particles, tmp_path / "a.npz")
    assert joined.posteriors.tolist() == [[0.2, 0.8], [0.9, 0.1], [0, 0], [0, 0]]


def test_strangers_are_reported(star_set, tmp_path):
    (tmp_path / "a.csv").write_text("image,class\n1@nobody.mrcs,1\n")
    with pytest.raises(InputError, match="first: 1@nobody.mrcs.*such as 000001@stack.mrcs"):
        join_labels(read_particles(star_set()), tmp_path / "a.csv")


def test_other_particles_are_refused_unless_asked_for(star_set, tmp_path):
    (tmp_path / "a.csv").write_text("image,class\n1@stack.mrcs,1\n9@stack.mrcs,2\n")
    particles = read_particles(star_set())
    message = "3 particles of the campaign missing, 1 unknown .*000009@stack.mrcs"
    with pytest.raises(InputError, match=message):
        join_labels(particles, tmp_path / "a.csv", on_mismatch="error")
    assert len(join_labels(particles, tmp_path / "a.csv").missing) == 3


@pytest.mark.parametrize("kind", ["csv", "npz", "key"])
def test_classes_alone_join_by_the_number_of_the_row(star_set, tmp_path, kind):
    particles = read_particles(star_set())
    path = tmp_path / ("a.npz" if kind == "npz" else "a.csv")
    if kind == "npz":
        np.savez(path, labels=np.array(CLASSES) - 1)
    else:
        extra = ",note" if kind == "key" else ""
        path.write_text("\n".join([f"class{extra}", *(f"{c}{extra}" for c in CLASSES)]))
    joined = join_labels(particles, path, key="row" if kind == "key" else None)
    assert joined.labels.tolist() == [1, 0, -1, 2] and joined.joined_on == "row number"


def test_another_number_of_rows_is_reported(star_set, tmp_path):
    (tmp_path / "a.csv").write_text("class\n1\n2\n")
    with pytest.raises(InputError, match="found 2 rows of classes alone, expected 4 as in"):
        join_labels(read_particles(star_set()), tmp_path / "a.csv", on_mismatch="intersect")
