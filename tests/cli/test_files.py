"""Commands about particle files."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from emjax.io.cryosparc.tables import read_cs
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from tests.campaigns import tiny_config
from tests.cli.conftest import Emjax

CLASSES = np.arange(300) % 4


@pytest.fixture
def consensus(emjax: Emjax, tiny: str) -> Path:
    """The consensus of the tiny campaign: classes 1 to 3, and unassigned particles."""
    path = Path("results/tiny/consensus/particles.star")
    columns = {"rlnClassNumber": CLASSES, "emjaxStability": CLASSES / 4}
    write_particles(path, read_particles("data/particles.star"), columns)
    return path


def test_select_takes_a_campaign_or_a_particle_file(emjax: Emjax, tiny: str, consensus: Path):
    said = emjax("select", tiny, "--classes", "1", "3", "-o", "good.star")
    assert said == (0, f"150 particles of {consensus} written to good.star\n", "")
    assert emjax("select", str(consensus), "--classes", "1", "3", "-o", "again.star").code == 0
    assert Path("good.star").read_bytes() == Path("again.star").read_bytes()
    # What is selected can be classified again.
    assert emjax("init", "good.star").code == 0


def test_select_writes_for_cryosparc(emjax: Emjax, tiny: str, consensus: Path):
    said = emjax("select", tiny, "--min-stability", "0.5", "-o", "good.cs")
    assert said.code == 0, said.err
    records = read_cs("good.cs")
    assert len(records) == 150 and set(records["emjax/class_number"].tolist()) == {2, 3}


def test_select_says_that_there_is_no_consensus_yet(emjax: Emjax, tiny: str):
    said = emjax("select", tiny, "--classes", "1", "-o", "good.star")
    assert said.code == 1 and "results/tiny: found no consensus" in said.err


def test_select_finds_stacks_where_the_configuration_says(emjax: Emjax, tiny: str, consensus: Path):
    Path("data/stacks").mkdir()
    Path("data/particles.mrcs").rename("data/stacks/particles.mrcs")
    Path(tiny).write_text(yaml.safe_dump(tiny_config(image_root="data/stacks")))
    assert emjax("select", tiny, "--classes", "1", "-o", "good.star").code == 0


def test_export_writes_the_formats_asked_for(emjax: Emjax, tiny: str, consensus: Path):
    for number in (1, 2, 3):
        volume = np.full((48, 48, 48), number, np.float32)
        for part in ("", "_half1", "_half2"):
            write_volume(consensus.parent / f"class_00{number}{part}.mrc", volume, 6.0)
    command = ["export", "results/tiny", "data/particles.star", "--formats"]
    said = emjax(*command, "cryodrgn", "table")
    assert said.code == 0, said.err
    assert said.out.startswith("written to results/tiny/export: ") and " files of " in said.out
    written = [path.name for path in Path("results/tiny/export").iterdir()]
    assert "cryodrgn" in written and "relion" not in written
    assert emjax(*command, "eman").code == 2


def test_export_of_a_run_is_written_to_its_folder(emjax: Emjax, tiny: str, consensus: Path):
    run = Path("results/tiny/runs/em3d-K03-s000")
    write_particles(run / "particles.star", read_particles(consensus), {"rlnClassNumber": CLASSES})
    for number in (1, 2, 3):
        write_volume(run / f"class_00{number}.mrc", np.ones((16,) * 3), 18.0)
    (run / "metrics.json").write_text("{}")
    command = [
        "export",
        "results/tiny",
        "data/particles.star",
        "--formats",
        "zip",
        "table",
        "--run",
    ]
    said = emjax(*command, run.name)
    assert said.code == 0, said.err
    assert f"written to {run}/export: 2 files of" in said.out
    assert sorted(path.name for path in (run / "export").iterdir()) == [
        "particles.csv",
        "volumes.zip",
    ]
    said = emjax(*command, "em3d-K04-s000")
    assert said.code == 1 and "expected one of em3d-K03-s000" in said.err
    said = emjax(*command, "third")
    assert said.code == 1 and "found no name of a run" in said.err


def test_convert_there_and_back_changes_nothing(emjax: Emjax, tiny: str):
    there = emjax("convert", "data/particles.star", "a.cs")
    assert there.code == 0 and "300 particles written to a.cs" in there.out
    back = emjax("convert", "a.cs", "b.star", "--passthrough", "data/particles.star")
    assert back.code == 0 and "changed since: nothing" in back.out
    assert Path("b.star").read_text() == Path("data/particles.star").read_text()


def test_formats_are_those_of_the_library():
    from emjax.cli.files import FORMATS
    from emjax.io.export import programs

    assert FORMATS == programs.FORMATS
