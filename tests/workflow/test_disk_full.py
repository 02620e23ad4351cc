"""A full disk ends in one clear line; earlier results stay, and freed space is all it takes."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.campaigns import Place, assert_same_runs, long_config

pytestmark = pytest.mark.slow
RUNS = [f"em3d-K{k:02d}-s{s:03d}" for k in (2, 3) for s in (0, 1)]
CLASSIFY = ("--until", "classify_em3d_s000")


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path], None]]:
    """Puts a disk of 8 MB at a folder."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "emjax-test", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no right to mount a small disk")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    filler = folder / "filler"
    disk = os.statvfs(folder)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - left))
    return filler


def assert_told(done: subprocess.CompletedProcess[str]) -> None:
    lines = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1, done.stdout
    # Where it happens, and once more as the last line.
    assert len(set(lines)) == 1 and "No space left on device" in lines[0], done.stdout
    assert "Traceback" not in done.stdout


def assert_resumes(place: Place, whole: Place) -> None:
    done = place.snakemake(long_config(2), *CLASSIFY)
    assert done.returncode == 0, done.stdout
    assert_same_runs(place, whole, RUNS)


@pytest.mark.parametrize("left", [100_000, 1_400_000])
def test_full_while_images_and_maps_are_written(place: Place, whole: Place, small_disk, left: int):
    results = place.folder / "results"
    small_disk(results)
    filler = fill(results, left)
    assert_told(place.snakemake(long_config(2), *CLASSIFY))
    files = [path for path in results.rglob("*") if path.is_file() and path != filler]
    assert not [path for path in files if ".part" in path.name]
    before = {path: path.read_bytes() for path in files}
    assert results / "tiny/prepare/prepare.json" in before
    assert (results / "tiny/prepare/images.npy" in before) == (left > 1_000_000)
    filler.unlink()
    assert_resumes(place, whole)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_full_while_a_checkpoint_is_written(place: Place, whole: Place, small_disk):
    checkpoints = place.folder / "checkpoints"
    small_disk(checkpoints)
    filler = fill(checkpoints, 20_000)
    assert_told(place.snakemake(long_config(2), *CLASSIFY))
    assert [path.name for path in checkpoints.rglob("*")] in (
        ["filler", "tiny"],
        ["tiny", "filler"],
    )
    filler.unlink()
    assert_resumes(place, whole)
