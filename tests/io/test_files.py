"""Files appear whole or not at all."""

import bz2
import errno
import gzip
import json
import lzma
import mmap
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emjax.campaign.checkpoint import load_checkpoint, save_checkpoint
from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs
from emjax.io.files import (
    atomic_memmap,
    atomic_path,
    open_npy,
    read_json,
    read_npy,
    read_tsv,
    write_json,
    write_npy,
    write_tsv,
)
from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.star.tables import read_star
from emjax.machine import give_back


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


def no_shared_maps(monkeypatch: pytest.MonkeyPatch, private: bool) -> None:
    """A file system that maps files for one process only, or not at all."""
    original = mmap.mmap

    def refuse(*args, access=mmap.ACCESS_DEFAULT, **kwargs):
        if access != mmap.ACCESS_COPY or not private:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return original(*args, access=access, **kwargs)

    monkeypatch.setattr(mmap, "mmap", refuse)


@pytest.mark.parametrize("private", [True, False])
def test_without_shared_maps_arrays_are_read_and_written(tmp_path, monkeypatch, private):
    whole = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_npy(tmp_path / "a.npy", whole)
    write_volume(tmp_path / "a.mrc", np.ones((4, 4, 4)), 2.0)
    no_shared_maps(monkeypatch, private)
    found = open_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, whole)
    assert isinstance(found, np.memmap) == private and not found.flags.writeable == private
    assert read_volume(tmp_path / "a.mrc")[0].sum() == 64
    with pytest.warns(UserWarning, match="no shared memory maps; 0 MB are held in memory"):
        with atomic_memmap(tmp_path / "b.npy", np.complex64, (2, 3)) as array:
            array[1] = 1j
    assert read_npy(tmp_path / "b.npy").tolist() == [[0, 0, 0], [1j, 1j, 1j]]
    assert sorted(os.listdir(tmp_path)) == ["a.mrc", "a.npy", "b.npy"]


def test_folders_that_cannot_be_synced_are_no_error(tmp_path, monkeypatch):
    original = os.fsync

    def refuse(number: int):
        def sync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            original(descriptor)

        return sync

    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    write_json(tmp_path / "a.json", [1])
    assert read_json(tmp_path / "a.json") == [1]
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(InputError, match="a.json: writing: found Input/output error"):
        write_json(tmp_path / "a.json", [2])


@pytest.mark.parametrize(
    ("compress", "kind"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")]
)
def test_compressed_files_are_named_as_such(tmp_path, compress, kind):
    for name, read in (("a.mrcs", read_header), ("a.star", read_star), ("a.cs", read_cs)):
        (tmp_path / name).write_bytes(compress(bytes(2000)))
        words = f"{name}: found a file compressed with {kind}, expected the file itself"
        with pytest.raises(InputError, match=words):
            read(tmp_path / name)


def resident(path) -> int:
    """Bytes of a mapped file in memory that count as this process's."""
    total, own = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            own = line.endswith(str(path))
        elif own and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="Linux counts pages there")
def test_what_was_read_of_a_mapped_file_is_given_back(tmp_path):
    path, whole = tmp_path / "a.npy", np.arange(2_000_000.0)
    write_npy(path, whole)
    mapped = open_npy(path)
    total = mapped[::100].sum()
    assert resident(path) > 0.9 * whole.nbytes
    give_back(mapped[10:])
    assert resident(path) == 0
    assert mapped[::100].sum() == total
    give_back(whole)  # nothing to give back: not from a file
