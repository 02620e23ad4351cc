"""A campaign's folder: the names that other tools read."""

import subprocess
import sys
from pathlib import Path

from emjax.campaign.folder import CampaignFolder

FOLDER = CampaignFolder.of("tiny", Path("there"))


def test_the_contract_of_names():
    run, consensus = FOLDER.run("em3d-K04-s000"), FOLDER.consensus
    names = {
        FOLDER.prepare.facts: "prepare/prepare.json",
        FOLDER.prepare.half_maps[1]: "prepare/mean_half2.mrc",
        run.particles.star: "runs/em3d-K04-s000/particles.star",
        run.class_map(3): "runs/em3d-K04-s000/class_003.mrc",
        run.class_map(12, "half1"): "runs/em3d-K04-s000/class_012_half1.mrc",
        run.images("code_vectors")[0]: "runs/em3d-K04-s000/code_vectors.mrcs",
        FOLDER.method("subspace").evidence: "runs/subspace/evidence.json",
        consensus.class_fsc(1): "consensus/class_001_fsc.tsv",
        consensus.class_map("{number}", "half2"): "consensus/class_{number}_half2.mrc",
        FOLDER.rebalance.kept.all((".star", ".cs"))[1]: "rebalance/particles_kept.cs",
        FOLDER.classes.optimiser: "classes/run_optimiser.star",
        FOLDER.runs_table: "runs.tsv",
        FOLDER.report: "report.html",
    }
    for path, name in names.items():
        assert path == Path("there/results/tiny") / name


def test_logs_and_checkpoints_lie_beside_the_results():
    assert FOLDER.base == Path("there")
    assert FOLDER.logs == Path("there/logs/tiny")
    assert FOLDER.checkpoints == Path("there/checkpoints/tiny")


def test_maps_that_are_there_are_found_without_half_maps(tmp_path: Path):
    consensus = CampaignFolder(tmp_path).consensus
    consensus.path.mkdir()
    for name in ("class_002.mrc", "class_001.mrc", "class_001_half1.mrc", "class_001_fsc.tsv"):
        (consensus.path / name).touch()
    assert [path.name for path in consensus.class_maps()] == ["class_001.mrc", "class_002.mrc"]
    assert len(list(consensus.of_classes())) == 4


def test_rules_load_neither_jax_nor_pandas_nor_scipy():
    rules = "import emjax.campaign.settings, emjax.campaign.methods, emjax.campaign.folder"
    heavy = "print([name for name in ('jax', 'pandas', 'scipy') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {rules}; {heavy}"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
