"""The maps of a consensus or of a run, as an export needs them, and what goes with them."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.names import RunName
from emjax.errors import InputError
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask
from emjax.io.files import write_json, write_tsv
from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star
from emjax.jobs.export import (
    FORMATS,
    consensus_classes,
    export_consensus,
    export_run,
    space,
    superclasses_of,
)
from emjax.jobs.run_files import fsc_table

RUN = RunName("em3d", 2, 0)


def test_classes_are_numbered_without_a_gap(tmp_path: Path):
    consensus = CampaignFolder(tmp_path).consensus
    with pytest.raises(InputError, match="found no map, expected class_001.mrc and so on"):
        consensus_classes(consensus)
    for k in (1, 2):
        write_volume(consensus.class_map(k), np.ones((8, 8, 8)), 3.0)
    write_volume(consensus.class_map(1, "half1"), np.ones((8, 8, 8)), 3.0)
    found = consensus_classes(consensus)
    assert [one.map for one in found] == [consensus.class_map(1), consensus.class_map(2)]
    assert [one.half_maps for one in found] == [None, None]
    consensus.class_map(1).unlink()
    with pytest.raises(InputError, match=r"found class_002.mrc, expected class_001.mrc"):
        consensus_classes(consensus)


@pytest.fixture
def campaign(tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignFolder:
    """A run of two classes on a box of 16, their consensus on the input's 48, and masks."""
    folder, table = (
        CampaignFolder.of("demo", tmp_path),
        read_particles(particles / "particles.star"),
    )
    rng = np.random.default_rng(0)
    label = np.arange(table.n) % 3  # a third has no class
    own = folder.run(RUN)
    for target, box, voxel_size in ((own, 16, 18.0), (folder.consensus, 48, 6.0)):
        write_particles(target.particles.star, table, {"rlnClassNumber": label})
        for number in (1, 2):
            for part in ("", "half1", "half2"):
                volume = rng.normal(size=(box,) * 3)
                write_volume(target.class_map(number, part), volume, voxel_size)
    fsc = np.stack([np.linspace(1, 0, 9), np.linspace(1, 0.5, 9)])
    write_tsv(own.fsc, fsc_table(fsc, 288.0))
    write_json(own.metrics, {})
    smooth = np.zeros((16,) * 3, np.float32)
    smooth[4:12, 4:12, 4:12] = 1
    write_volume(folder.prepare.mean_map, rng.normal(size=(16,) * 3), 18.0)
    write_volume(folder.prepare.solvent_mask, smooth, 18.0)
    write_volume(own.focus_mask, smooth, 18.0)
    superclasses = {"class": [1, 2], "superclass": [1, 1]}
    write_tsv(folder.rebalance.superclasses, pd.DataFrame(superclasses))
    return folder


@pytest.fixture
def table(particles: Path):
    return read_particles(particles / "particles.star")


def test_a_run_is_exported_as_the_consensus_is(campaign: CampaignFolder, table):
    written = export_run(campaign, RUN, table)
    export = campaign.run(RUN).export
    assert all(path.is_file() and path.is_relative_to(export) for path in written)
    assert {path.relative_to(export).parts[0] for path in written} == {
        *("relion", "cryosparc", "cryodrgn", "particles.csv", "chimerax", "maps", "volumes.zip")
    }
    for number in (1, 2):
        part = read_star(export / f"relion/particles_class_00{number}.star")["particles"]
        assert set(part.text("rlnClassNumber")) == {str(number)} and len(part) == 100
        assert (export / f"cryosparc/particles_class_00{number}.cs").is_file()
    with zipfile.ZipFile(export / "volumes.zip") as archive:
        assert archive.namelist() == ["class_001.mrc", "class_002.mrc"]
    model = (export / "relion/run_it025_model.star").read_text()
    # The FSC of class 1 falls below 0.143 near shell 7 of 288 Å, that of class 2 nowhere.
    first = 288 / (8 * (1 - 0.143))
    assert f"{first:.6f}"[:6] in model
    # The masks are those of the run's own box.
    assert (export / "maps/solvent_mask.mrc").samefile(campaign.prepare.solvent_mask)


def test_mean_map_and_masks_come_at_full_box(campaign: CampaignFolder, table):
    export_consensus(campaign, table, ("maps",))
    for name, source, to_box in (
        ("mean_map", campaign.prepare.mean_map, resample),
        ("solvent_mask", campaign.prepare.solvent_mask, resample_mask),
        ("focus_mask", campaign.run(RUN).focus_mask, resample_mask),
    ):
        volume, voxel_size = read_volume(campaign.export / "maps" / f"{name}.mrc")
        assert volume.shape == (48,) * 3 and voxel_size == pytest.approx(6.0)
        np.testing.assert_allclose(volume, to_box(read_volume(source)[0], 48), atol=1e-6)
    # As the contrast of a map that is finer sampled: the same densities.
    coarse = read_volume(campaign.prepare.mean_map)[0]
    mean = read_volume(campaign.export / "maps/mean_map.mrc")[0]
    assert mean.std() == pytest.approx(coarse.std(), rel=0.2)


def test_a_focus_mask_of_the_user_is_copied_with_the_voxels_of_the_maps(
    campaign: CampaignFolder, table, tmp_path
):
    own = tmp_path / "focus.mrc"
    write_volume(own, np.ones((48,) * 3), 1.0)
    export_consensus(campaign, table, ("maps",), focus=str(own))
    copy = campaign.export / "maps/focus_mask.mrc"
    assert not copy.samefile(own) and read_header(copy).voxel_size == pytest.approx(6.0)


def test_superclasses_are_those_of_the_consensus(campaign: CampaignFolder, table):
    export_consensus(campaign, table, ("superclasses",))
    part = read_star(campaign.export / "superclasses/superclass_001.star")["particles"]
    assert len(part) == 200
    found = superclasses_of(campaign, 2)
    assert found is not None and found.tolist() == [1, 1]
    with pytest.raises(InputError, match="found 2 classes, expected the 3 of consensus"):
        superclasses_of(campaign, 3)
    campaign.rebalance.superclasses.unlink()
    assert superclasses_of(campaign, 2) is None


def test_runs_that_are_not_there_or_have_no_maps(campaign: CampaignFolder, table):
    with pytest.raises(InputError, match="em3d-K05-s000: found none.*expected one of em3d-K02"):
        export_run(campaign, RunName("em3d", 5, 0), table)
    som = RunName.of_map("som", (2, 1), 0)
    write_json(campaign.run(som).metrics, {})
    with pytest.raises(InputError, match="found no map, expected class_001.mrc"):
        export_run(campaign, som, table)


def test_maps_take_no_further_space(campaign: CampaignFolder, table):
    written = export_consensus(campaign, table, ("relion",))
    said = space(written)
    assert said.startswith(f"{len(written)} files of 0.1 MB; 6 maps of 2.7 MB are links"), said
    assert "maps" in FORMATS
