"""All volumes in one file."""

import zipfile

import pytest

from emjax.errors import InputError
from emjax.io.export.volumes import zip_volumes


def test_every_class_is_in_the_file_bit_by_bit(exported, classes):
    with zipfile.ZipFile(exported / "volumes.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [one.map.name for one in classes]
        for one in classes:
            assert archive.read(one.map.name) == one.map.read_bytes()


def test_the_same_maps_give_the_same_file(classes, tmp_path):
    maps = [one.map for one in classes]
    first, second = (zip_volumes(tmp_path / f"{n}.zip", maps).read_bytes() for n in (1, 2))
    assert first == second


def test_a_missing_map_leaves_no_file(classes, tmp_path):
    with pytest.raises(InputError, match="none.mrc: found no such file, expected a map"):
        zip_volumes(tmp_path / "a.zip", [classes[0].map, tmp_path / "none.mrc"])
    assert not (tmp_path / "a.zip").exists()
