"""The workflow inside another one, from either Snakefile, and addressed by a profile."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from tests.campaigns import ROOT, Place, tiny_config

TEN_LINES = f"""\
configfile: "project.yaml"
module emjax:
    snakefile: "{ROOT}/workflow/Snakefile"
    prefix: "classification"
    config: config["emjax"]
use rule * from emjax as emjax_*
rule everything:
    default_target: True
    input: rules.emjax_all.input
"""


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def project(tmp_path: Path, particles: Path) -> Path:
    """A folder with a workflow of ten lines that uses emjax's."""
    (tmp_path / "data").symlink_to(particles)
    (tmp_path / "Snakefile").write_text(TEN_LINES)
    (tmp_path / "project.yaml").write_text(yaml.safe_dump({"emjax": tiny_config()}))
    return tmp_path


@pytest.mark.slow
def test_a_snakefile_of_ten_lines_runs_a_campaign_to_its_report(project: Path):
    assert len(TEN_LINES.splitlines()) <= 10
    done = snakemake(project, "--quiet", "all")
    assert done.returncode == 0, done.stdout
    results = project / "classification/results/tiny"
    assert (results / "report.html").exists()
    record = json.loads((results / "campaign.json").read_text())
    assert record["config"]["campaign"] == "tiny"
    assert [run["run"] for run in record["runs"]] == ["em3d-K02-s000", "em3d-K02-s001"]
    assert (project / "classification/logs/tiny/classify_em3d_s000.log").exists()
    # Nothing lies beside the prefix, and nothing is run twice.
    assert not (project / "results").exists()
    again = snakemake(project, "--dry-run")
    assert "Nothing to be done" in again.stdout


def test_a_module_plans_the_whole_campaign_and_leaves_the_input_where_it_is(project: Path):
    done = snakemake(project, "--dry-run")
    assert done.returncode == 0, done.stdout
    rules = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("emjax_")}
    assert {"emjax_prepare_particles", "emjax_classify_em3d_s000", "emjax_render_report"} <= rules
    assert "classification/data" not in done.stdout


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_either_snakefile_plans_the_whole_campaign(place: Place, snakefile: str):
    place.snakefile = ROOT / snakefile
    planned = place.jobs(tiny_config())
    assert {"check_input", "classify_em3d_s000", "build_consensus", "render_report"} <= planned


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_a_wrong_option_is_the_last_line(place: Place, snakefile: str):
    place.snakefile = ROOT / snakefile
    done = place.snakemake(tiny_config(filter_resolutoin=3), "--quiet", "all")
    assert done.returncode != 0
    last = done.stdout.splitlines()[-1]
    assert last.startswith("error: ")
    assert "tiny.yaml: filter_resolutoin: unknown option; did you mean filter_resolution?" in last


def resources(place: Place, config: dict, addressed: dict | None = None) -> dict[str, dict]:
    """What each rule asks for, with what a profile sets for rules by name."""
    (place.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            ResourceSettings(cores=1, overwrite_resources=addressed or {}),
            ConfigSettings(configfiles=[place.folder / "tiny.yaml"]),
            snakefile=ROOT / "workflow/Snakefile",
            workdir=place.folder,
        )
        rules = workflow._workflow.rules
        return {r.name: {k: v.raw for k, v in r.resources.items()} for r in rules}


def test_a_profile_addresses_all_batches_of_a_method_by_one_name(place: Place):
    addressed = {"classify_em3d": {"mem_mb": 77, "slurm_partition": "quick"}}
    asked = resources(place, tiny_config(seeds_per_job=1), addressed)
    for batch in ("classify_em3d_s000", "classify_em3d_s001"):
        assert asked[batch]["mem_mb"] == 77
        assert asked[batch]["slurm_partition"] == "quick"
    assert asked["judge_em3d"]["mem_mb"] != 77
    assert "slurm_partition" not in asked["judge_em3d"]


def test_jobs_that_compute_ask_for_the_gpus_of_the_configuration(place: Place):
    asked = resources(place, tiny_config(gpus_per_job=1))
    computing = {"prepare_particles", "classify_em3d_s000", "judge_em3d", "reconstruct_class"}
    computing |= {"fit_subspace", "find_outliers", "build_consensus"}
    assert {name for name, wanted in asked.items() if wanted.get("gpu")} == computing
    profile = yaml.safe_load((ROOT / "profiles/slurm-gpu/config.yaml").read_text())
    addressed = {name.removesuffix("_s000") for name in computing}
    assert addressed <= set(profile["set-resources"])
    assert profile["config"] == ["gpus_per_job=1"]
