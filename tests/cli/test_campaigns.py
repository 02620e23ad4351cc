"""Commands about a campaign, as a new user types them."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from emjax.campaign.engine import snakemake_command
from emjax.campaign.folder import CampaignFolder
from emjax.io.files import write_json
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import StarFile, read_star, write_star
from tests.campaigns import tiny_config
from tests.cli.conftest import Emjax
from tests.report.campaigns import make_campaign, read_config


def test_init_says_what_it_guessed_and_what_comes_next(emjax: Emjax, particles: Path):
    shutil.copytree(particles, "ribosome")
    said = emjax("init", "ribosome/particles.star")
    assert said.code == 0, said.err
    assert "300 particles of 48 px at 6 Å" in said.out
    assert said.out.splitlines()[-1].endswith("emjax check ribosome.yaml")
    config = yaml.safe_load(Path("ribosome.yaml").read_text())
    assert config["campaign"] == "ribosome" and config["filter_resolution"] == 24
    again = emjax("init", "ribosome/particles.star")
    assert again.code == 1 and "-o FILE" in again.err
    assert emjax("init", "ribosome/particles.star", "-o", "other.yaml").code == 0
    assert yaml.safe_load(Path("other.yaml").read_text()) == config


def test_what_init_writes_passes_the_check(emjax: Emjax, particles: Path):
    shutil.copytree(particles, "ribosome")
    emjax("init", "ribosome/particles.star")
    said = emjax("check", "ribosome.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1].endswith("Next: emjax run ribosome.yaml")
    assert {path.name for path in Path().iterdir()} == {"ribosome", "ribosome.yaml"}


def test_check_reports_wrong_input_in_one_line(emjax: Emjax, tiny: str):
    Path("data/particles.mrcs").unlink()
    said = emjax("check", tiny)
    assert said.code == 1
    assert said.err.startswith("error: data/particles.star") and said.err.count("\n") == 1
    Path(tiny).write_text(yaml.safe_dump(tiny_config(particles="none.star")))
    said = emjax("check", tiny)
    assert said.err.startswith("error: tiny.yaml: particles: found none.star, which is not there")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"filter_resolution": 5}, "filter_resolution: found 5"),
        (
            {"runs": {"em3d": {"n_classes": [2], "seeds": 1, "start_resolution": 500}}},
            "runs.em3d.start_resolution: found 500",
        ),
    ],
)
def test_check_reports_a_wrong_option_with_file_and_section(
    emjax: Emjax, tiny: str, changes: dict, place: str
):
    Path(tiny).write_text(yaml.safe_dump(tiny_config(**changes)))
    said = emjax("check", tiny)
    assert said.code == 1 and said.err.startswith(f"error: tiny.yaml: {place}")


def test_estimate_says_memory_and_times(emjax: Emjax, tiny: str):
    said = emjax("estimate", tiny)
    assert said.code == 0 and said.out.startswith("Campaign tiny: 300 particles of 48 px")
    assert "classify_em3d" in said.out and "one after the other" in said.out


def test_status_says_what_was_found(emjax: Emjax, tiny: str):
    assert emjax("status", tiny).out.splitlines()[1] == "  not started"
    folder = make_campaign(Path("results/demo"), n_particles=200)
    Path("demo.yaml").write_text(yaml.safe_dump(read_config(folder)))
    said = emjax("status", "demo.yaml")
    assert said.code == 0 and "consensus: 4 classes" in said.out


def test_run_hands_everything_to_snakemake(emjax: Emjax, tiny: str, started: list[list[str]]):
    further = ["--until", "prepare_particles", "-n"]
    assert emjax("run", tiny, "--verbose", *further).code == 0
    assert emjax("run", tiny, "--", *further).code == 0
    assert emjax("run", tiny, "--profile", "slurm", "--jobs", "3").code == 0
    verbose, plain, slurm = started
    assert verbose == snakemake_command(tiny, further, verbose=True)
    assert plain == snakemake_command(tiny, further)
    assert slurm == snakemake_command(tiny, ["--jobs", "3"], profile="slurm")
    said = emjax("run", tiny, "--profile", "slrm")
    assert said.code == 1 and said.err.startswith("error: --profile: found slrm")
    assert len(started) == 3


def test_run_passes_the_exit_status_on(emjax: Emjax, tiny: str, monkeypatch: pytest.MonkeyPatch):
    code = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr("emjax.campaign.engine.snakemake_command", lambda *_, **__: code)
    assert emjax("run", tiny).code == 3


def test_report_says_where_the_page_is(emjax: Emjax, tiny: str, started: list[list[str]]):
    missing = emjax("report", tiny)
    assert missing.code == 1 and "found no report, expected" in missing.err
    page = Path("results/tiny/report.html")
    page.parent.mkdir(parents=True)
    page.touch()
    assert emjax("report", tiny) == (0, f"{page.absolute()}\n", "")
    assert emjax("report", tiny, "--speed").code == 2
    assert not started
    assert emjax("report", tiny, "--rebuild").out == f"{page.absolute()}\n"
    assert emjax("report", tiny, "--snakemake").code == 0
    rebuild, own = started
    assert rebuild == snakemake_command(tiny, [str(page), "--forcerun", "render_report"])
    assert own == snakemake_command(tiny, ["--report", "snakemake-report.zip"])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"config": {}}'])
def test_reproduce_refuses_what_is_no_record(emjax: Emjax, content: str):
    Path("campaign.json").write_text(content)
    said = emjax("reproduce", "campaign.json")
    assert said.code == 1 and said.err.startswith("error: campaign.json: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("different", [False, True])
def test_reproduce_compares_labels(emjax: Emjax, monkeypatch: pytest.MonkeyPatch, different: bool):
    """The second campaign is a copy of the first, with one label changed or none."""
    old, new = CampaignFolder.of("demo"), CampaignFolder.of("demo-again")
    make_campaign(old.path, n_particles=50)
    run = "em3d-K04-s000"
    shutil.copy(old.consensus.particles.star, old.run(run).particles.star)
    record = {"config": read_config(old.path), "runs": [{"run": run}], "input_checksum": "0f"}
    write_json(old.record, record)

    def run_snakemake(command: list[str]) -> int:
        assert command == snakemake_command(new.config, ["--cores", "1"])
        repeated = yaml.safe_load(new.config.read_text())
        assert repeated == record["config"] | {"campaign": "demo-again"}
        shutil.copytree(old.path, new.path, dirs_exist_ok=True)
        write_json(new.record, record | {"input_checksum": "1e"})
        table = read_star(new.consensus.particles.star)["particles"]
        labels = table.integers("rlnClassNumber")
        labels[7] += different
        changed = table.with_columns({"rlnClassNumber": labels})
        write_star(new.consensus.particles.star, StarFile((changed,)))
        return 0

    monkeypatch.setattr("emjax.campaign.reproduce.run_snakemake", run_snakemake)
    said = emjax("reproduce", str(old.record), "--cores", "1")
    assert said.err == ""
    assert said.out.splitlines() == [
        "the particle file has changed since",
        f"runs/{run}: the same labels",
        f"consensus: {'DIFFERENT' if different else 'the same'} labels",
    ]
    assert said.code == int(different)


def test_reproduce_says_when_the_campaign_failed(emjax: Emjax, monkeypatch: pytest.MonkeyPatch):
    record = {"config": {"campaign": "demo"}, "runs": [], "input_checksum": "0f"}
    write_json("campaign.json", record)
    monkeypatch.setattr("emjax.campaign.reproduce.run_snakemake", lambda command: 3)
    said = emjax("reproduce", "campaign.json")
    assert said.code == 1 and "error (exit status 3)" in said.err


def test_demo_simulates_once_and_keeps_the_configuration(emjax: Emjax, started: list[list[str]]):
    said = emjax("demo", "here", "--particles", "40", "-n")
    assert said.code == 0 and Path.cwd().name == "here"
    assert "Simulating 40 particles into data/demo" in said.out and "demo.yaml" in said.out
    again = emjax("demo", "-n")
    assert (again.code, again.out) == (0, "")
    assert started == [snakemake_command("demo.yaml", ["-n"])] * 2
    assert read_particles("data/demo/particles.star").n == 40
