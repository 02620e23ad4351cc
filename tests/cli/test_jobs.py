"""Commands of stand-alone jobs: the configuration that they draft, and what they refuse."""

from pathlib import Path

import pytest
import yaml

from emjax.campaign.engine import snakemake_command
from emjax.campaign.settings import read_config
from tests.cli.conftest import Emjax
from tests.rebalance.jobs import averages_of_views, write_class2d


@pytest.fixture
def job(emjax: Emjax) -> Path:
    """A Class2D job in the folder where the command runs."""
    folder = Path("Class2D/job010")
    write_class2d(folder, averages_of_views(4, 2), [5, 6, 0, 7])
    return folder


def test_rebalance_drafts_a_configuration_and_runs_it(
    emjax: Emjax, job: Path, started: list[list[str]]
):
    said = emjax("rebalance", str(job), "--superclasses", "2", "--mirror", "-n")
    assert said.code == 0 and said.out == "options: job010-rebalance.yaml\n"
    assert started == [snakemake_command("job010-rebalance.yaml", ["-n"])]
    text = Path("job010-rebalance.yaml").read_text()
    assert yaml.safe_load(text) == {
        "job": "rebalance",
        "campaign": "job010-rebalance",
        "particles": f"{job}/run_it025_data.star",
        "rebalance": {
            "superclasses": 2,
            "mirror": True,
            "references": f"{job}/run_it025_model.star",
        },
    }
    # Explained, and without what the job does not read.
    assert "#factor: 0.0" in text and "consensus:" not in text
    assert read_config("job010-rebalance.yaml")["rebalance"]["factor"] == 0


def test_another_configuration_is_not_replaced(emjax: Emjax, job: Path, started: list[list[str]]):
    assert emjax("rebalance", str(job), "-o", "mine").code == 0
    before = Path("mine.yaml").read_text()
    assert emjax("rebalance", str(job), "-o", "mine").code == 0
    said = emjax("rebalance", str(job), "-o", "mine", "--factor", "1")
    assert said.code == 1 and said.err.startswith("error: mine.yaml: found other options")
    assert Path("mine.yaml").read_text() == before and len(started) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: found nothing of this name"),
        (["Class2D/job010", "--factor", "2"], "rebalance.factor: found 2.0, expected a number"),
        (["Class2D/job010", "-o", "a b"], "campaign: found 'a b', expected a name"),
    ],
)
def test_wrong_arguments_leave_no_file(
    emjax: Emjax, job: Path, started: list[list[str]], arguments: list[str], message: str
):
    said = emjax("rebalance", *arguments)
    assert said.code == 1 and message in said.err and not started
    assert not list(Path().glob("*.yaml"))


def test_check_estimate_and_status_know_the_job(emjax: Emjax, job: Path, started: list[list[str]]):
    emjax("rebalance", str(job), "-o", "mine")
    said = emjax("check", "mine.yaml")
    assert "18 particles in 4 classes with averages, 1 of them without particles" in said.out
    assert "only campaigns are estimated" in emjax("estimate", "mine.yaml").out
    assert emjax("status", "mine.yaml").out.splitlines()[0] == "Job rebalance mine: results/mine"
