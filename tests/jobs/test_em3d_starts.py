"""First maps of a batch: files, what is said of them, and the warning."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.job import Job
from emjax.campaign.names import RunName
from emjax.classify.em3d.state import Run, RunState
from emjax.io.mrc.volume import read_volume
from emjax.jobs.em3d_starts import write_starts


@pytest.fixture
def work(tmp_path: Path) -> Job:
    log = tmp_path / "logs" / "demo" / "classify.log"
    log.parent.mkdir(parents=True)
    return Job("classify", log, {})


def state(k: int, seed: int, apart: float) -> RunState:
    """Maps that are their number, so different by `apart`."""
    maps = np.arange(k, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 8, 8), np.float32)
    shares, labels = np.full(k, 1 / k, np.float32), np.zeros(0, np.int32)
    return RunState(Run(k, seed), maps, shares, labels, initial_differences=(apart,) * k)


def test_files_and_figures(work: Job, tmp_path: Path, capsys):
    names = [RunName("em3d", 2, 0), RunName("em3d", 3, 0)]
    write_starts(work, names, [state(2, 0, 0.041), state(3, 0, 0.063)], "simple", 96.0)
    for name, k in zip(names, (2, 3), strict=True):
        for number in range(1, k + 1):
            volume, voxel_size = read_volume(work.folder.run(name).initial_map(number))
            # The box of the first iterations, 8 voxels here, is as long as that of the maps.
            assert voxel_size == pytest.approx(12.0)
            assert (volume == number - 1).all()
        assert not work.folder.run(name).initial_map(k + 1).exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "initial maps (simple) differ from their mean by 4.1% to 6.3%" in said
    assert "em3d-K02-s000/initial_001.mrc" in said
    log = (tmp_path / "logs/demo/classify.log").read_text().splitlines()
    assert [line.split()[-1] for line in log[1:]] == ["4.10%", "6.30%"]


def test_nearly_equal_maps_are_warned_of(work: Job):
    names = [RunName("em3d", 1, 0), *(RunName("em3d", 2, seed) for seed in range(3))]
    states = [state(1, 0, 0.0), *(state(2, s, part) for s, part in enumerate((0.02, 0.004, 0.003)))]
    with pytest.warns(UserWarning, match="em3d-K02-s001 and 1 more runs.* by 0.40%") as found:
        write_starts(work, names, states, "pca", 96.0)
    assert len(found) == 1


def test_one_class_is_not_warned_of(work: Job):
    # Warnings are errors.
    write_starts(work, [RunName("em3d", 1, 0)], [state(1, 0, 0.0)], "simple", 96.0)
