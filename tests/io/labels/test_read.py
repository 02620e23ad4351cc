"""Labels of every program join on the particle."""

import numpy as np
import pytest

from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles, write_particles

CLASSES = np.array([2, 1, 0, 3])
WANTED = [1, 0, -1, 2]


def test_relion_and_back(star_set, tmp_path):
    particles = read_particles(star_set())
    write_particles(tmp_path / "run_it025_data.star", particles, {"rlnClassNumber": CLASSES})
    for path in (tmp_path, tmp_path / "run_it025_data.star"):
        identity, labels, posteriors = read_labels(path)
        assert identity.tolist() == particles.identity.tolist()
        assert labels.tolist() == WANTED and posteriors is None


def test_cs(cs_set, files, tmp_path):
    records = files.records()
    records["alignments3D/class"] = [1, 0, 2, 1]
    identity, labels, _ = read_labels(cs_set(records))
    assert labels.tolist() == [1, 0, 2, 1] and identity[0] == str(records["uid"][0])


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t"), (".txt", "  ")])
def test_tables(tmp_path, suffix, separator):
    lines = [["image", "class"]] + [[f"p{i}", str(c)] for i, c in enumerate(CLASSES)]
    path = tmp_path / f"labels{suffix}"
    path.write_text("\ufeff" + "\r\n".join(separator.join(line) for line in lines) + "\r\n")
    identity, labels, _ = read_labels(path)
    assert identity.tolist() == ["p0", "p1", "p2", "p3"] and labels.tolist() == WANTED


def test_other_column_names(tmp_path):
    (tmp_path / "a.csv").write_text("who,group,class\na,1,9\nb,2,9\n")
    identity, labels, _ = read_labels(tmp_path / "a.csv", key="who", class_column="group")
    assert identity.tolist() == ["a", "b"] and labels.tolist() == [0, 1]


def test_npz_with_posteriors(tmp_path):
    posteriors = np.array([[0.1, 0.9], [0.8, 0.2]])
    np.savez(tmp_path / "a.npz", identity=["a", "b"], labels=[1, -1], posteriors=posteriors)
    identity, labels, read = read_labels(tmp_path / "a.npz")
    assert identity.tolist() == ["a", "b"] and labels.tolist() == [1, -1]
    np.testing.assert_array_equal(read, posteriors)


def test_xmipp_classes_and_references(tmp_path):
    (tmp_path / "images.xmd").write_text(
        "# XMIPP_STAR_1 * \n# \ndata_noname\nloop_\n _itemId\n _enabled\n _image\n _ref\n"
        "  1  1  000001@Runs/1/particles.stk  2\n  2  1  000002@Runs/1/particles.stk  1\n"
    )
    identity, labels, _ = read_labels(tmp_path / "images.xmd")
    assert identity[0] == "000001@Runs/1/particles.stk" and labels.tolist() == [1, 0]
    (tmp_path / "classes.xmd").write_text(
        "# XMIPP_STAR_1 * \ndata_classes\nloop_\n _ref\n _classCount\n 1 1\n 2 1\n\n"
        "data_class000001_images\nloop_\n _itemId\n _image\n  7  3@a.stk\n\n"
        "data_class000002_images\nloop_\n _itemId\n _image\n  9  1@a.stk\n"
    )
    identity, labels, _ = read_labels(tmp_path / "classes.xmd")
    assert identity.tolist() == ["000003@a.stk", "000001@a.stk"] and labels.tolist() == [0, 1]


def test_interop_labels(interop):
    identity, labels, _ = read_labels(interop / "relion5.star")
    assert len(identity) == 17 and labels.min() >= 0
    identity, labels, _ = read_labels(interop / "cryosparc_P12_J24_001_particles.cs")
    assert len(np.unique(identity)) == 2019
