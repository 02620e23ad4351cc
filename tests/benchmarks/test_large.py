"""The benchmarks of big boxes, in a small one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.large_data import make_body
from tests.campaigns import ROOT

FOLDER = ROOT / "benchmarks"


def test_projections_are_those_of_the_volume():
    body = make_body(2, 64, 6.0, seed=1)
    shifts = np.array([[12.0, -6.0]])
    found = body.projections(1, np.eye(3)[None], shifts)[0]
    # The particle lies at minus its origin, two and one pixels away.
    expected = np.roll(body.volume(1).sum(0), (1, -2), (0, 1))
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())
    assert body.volume(0).sum() == pytest.approx(len(body.points[0]), rel=1e-3)


def test_jobs_of_a_stage_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from large_campaign import gigabytes, stages

    folder = tmp_path / "logs/large/benchmarks"
    folder.mkdir(parents=True)
    rows = {
        "reconstruct_class_001": "2.5\t500\t4.0",
        "reconstruct_class_002": "1.5\t1500\tNA",
        "classify_em3d_s000": "9\t100\t7",
        "classify_em3d_s005": "1\t100\t1",
        "check_input": "1\t50\t0.5",
    }
    for name, row in rows.items():
        (folder / f"{name}.tsv").write_text(f"s\tmax_rss\tcpu_time\n{row}\n")
    assert stages(tmp_path) == [
        ("classify_em3d", 2, 10, 8, 0.1),
        ("reconstruct_class", 2, 4, 4, 1.5),
        ("check_input", 1, 1, 0.5, 0.05),
    ]
    (tmp_path / "map").write_bytes(b"1" * 1000)
    before = gigabytes(tmp_path)
    os.link(tmp_path / "map", tmp_path / "linked")
    assert gigabytes(tmp_path) == before > 1e-6


@pytest.mark.slow
def test_every_part_is_measured(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(FOLDER / "large.py"), "--boxes", "80", "--particles", "100"]
    done = subprocess.run(
        [*command, "--memory-box", "48"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    for part in (
        "read and transformed",
        "in order; class by class",
        "prepare",
        "class 2",
        "export",
    ):
        assert sum(part in line for line in table) == 1, part
    assert any(line.startswith("| 48 px: a class of 50 particles") for line in table)
    assert not list(tmp_path.iterdir())
