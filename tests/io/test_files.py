"""Files appear whole or not at all."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from emjax.campaign.checkpoint import load_checkpoint, save_checkpoint
from emjax.errors import InputError
from emjax.io.files import (
    atomic_path,
    read_json,
    read_npy,
    read_tsv,
    write_json,
    write_npy,
    write_tsv,
)
from emjax.io.mrc.volume import write_volume


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as beside:
        beside.write_text("old")

    def fail_half_way() -> None:
        with atomic_path(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "old" and os.listdir(path.parent) == ["a.txt"]


def test_what_a_killed_process_left_goes(tmp_path):
    """And nothing else: a part of another file stays."""
    for name in (".a [1].77.part.npz", ".a [1].b.77.part.npz", ".a [1].previous.npz"):
        (tmp_path / name).write_text("torn")
    with atomic_path(tmp_path / "a [1].npz") as beside:
        beside.write_text("whole")
    assert sorted(os.listdir(tmp_path)) == [
        ".a [1].b.77.part.npz",
        ".a [1].previous.npz",
        "a [1].npz",
    ]


def test_tables_json_and_arrays_come_back(tmp_path):
    table = pd.DataFrame({"id": ["a", "b\tc"], "x": [0.1, np.nan], "n": [1, 2]})
    write_tsv(tmp_path / "a.tsv", table)
    pd.testing.assert_frame_equal(read_tsv(tmp_path / "a.tsv"), table)
    content = {"a": np.float32(0.5), "b": np.arange(2), "c": np.nan, "d": [np.bool_(True)]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == {"a": 0.5, "b": [0, 1], "c": None, "d": [True]}
    assert json.loads((tmp_path / "a.json").read_text())["c"] is None
    array = np.arange(6, dtype=np.complex64).reshape(2, 3)
    write_npy(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)


def test_a_full_disk_is_one_clear_line(tmp_path):
    error = pytest.raises(InputError, match="writing: found No space left on device, expected")
    with error, atomic_path(tmp_path / "a.txt") as beside:
        beside.write_text("half")
        raise OSError(28, os.strerror(28), str(beside))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a writable folder"):
        write_json(tmp_path / "file" / "a.json", {})


@pytest.fixture
def full_disk():
    """Files may not grow beyond 4 kB, as on a disk that fills while they are written."""
    resource = pytest.importorskip("resource", reason="no file size limits on this system")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_volume(folder / "a.mrc", np.zeros((16, 16, 16)), 1.0),
        lambda folder: write_npy(folder / "a.npy", np.zeros(9999)),
        lambda folder: write_json(folder / "a.json", ["x" * 9999]),
        lambda folder: save_checkpoint(folder / "a.npz", {"a": np.zeros(9999)}, {}),
    ],
    ids=["map", "array", "json", "checkpoint"],
)
def test_a_disk_that_fills_up_leaves_nothing(tmp_path, full_disk, write):
    with pytest.raises(InputError, match="writing: found .*, expected a writable folder with free"):
        write(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_outlives_a_full_disk(tmp_path, request):
    save_checkpoint(tmp_path / "c.npz", {"a": np.zeros(9)}, {"it": 1})
    request.getfixturevalue("full_disk")
    with pytest.raises(InputError):
        save_checkpoint(tmp_path / "c.npz", {"a": np.zeros(9999)}, {"it": 2})
    loaded = load_checkpoint(tmp_path / "c.npz")
    assert loaded is not None and loaded[1] == {"it": 1}
