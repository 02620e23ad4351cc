"""Titles say what the numbers say, and no more."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, read_tsv, write_json, write_tsv
from emjax.report.assignments import ess_figure, mass_figure
from emjax.report.campaign import Campaign
from emjax.report.compared import Classes, superclass_title
from emjax.report.convergence import convergence_figure
from emjax.report.endings import ended_by, endings_sentence
from emjax.report.job_warnings import warnings_of
from emjax.report.number import reasons
from emjax.report.provenance import options
from emjax.report.publish import citation, deposition, methods_paragraph
from emjax.report.som import best_map, som_figures
from emjax.report.svg import resolution_ticks
from emjax.report.verdict import judge
from tests.report.campaigns import add_map, add_subspace, make_campaign, read, read_config, render


@pytest.fixture(name="folder", scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four states, six runs."""
    return make_campaign(tmp_path_factory.mktemp("said") / "results" / "x", n_particles=300)


def test_what_settled_and_what_a_criterion_stopped_differ(folder: Path):
    campaign = read(folder)
    names = campaign.run_names()
    for name in names:
        campaign.metrics[name]["options"] |= {"rms_convergence": 0.01}
    changes = {0: (0.01, 0.005), 1: (0.04, 0.005), 2: (0.01, 0.012)}
    for i, (switched, change) in changes.items():
        for row in campaign.metrics[names[i]]["history"][-2:]:
            row |= {"switched": switched, "rms_change": change}
    for name in names[3:]:
        campaign.metrics[name]["converged"] = False
    said = endings_sentence(campaign)
    assert said.startswith("1 of 6 runs settled (under 2 % of the particles changed class, the ")
    assert "1 was stopped by the first of these while the maps changed by up to 1.2 %" in said
    assert "as the maps changed by under 1 %, while up to 4.0 % of the particles" in said
    assert said.endswith("3 ran out of iterations")
    assert ended_by(campaign.metrics[names[1]]) == "maps changed 0.5 %, 4.0 % changed class"
    assert ended_by(campaign.metrics[names[4]]) == "all 14 iterations"
    figure = convergence_figure(campaign, "switched")
    assert (
        figure
        and "at most 4.0 %" in figure.title
        and ">switch_convergence, 2 %<" in str(figure.drawing)
    )


def test_superclasses_are_as_sharp_as_their_numbers():
    def title(a: float, b: float, c: float, own: list[int]) -> str:
        affinity = np.array([[1, a, b], [a, 1, c], [b, c, 1]])
        return superclass_title(Classes(affinity, np.array(own), np.full(3, 10.0)))

    sharp = title(0.93, 0.85, 0.83, [1, 1, 2])
    assert sharp == "2 superclasses: classes of one are 0.93 alike or more, of two 0.85 or less"
    close = title(0.93, 0.92, 0.83, [1, 1, 2])
    assert "without a sharp border: the least alike two classes of one have 0.93" in close
    assert "without a sharp border: the least alike two classes of one have 0.83" in title(
        0.93, 0.92, 0.83, [1, 2, 2]
    )
    assert title(0.9, 0.9, 0.9, [1, 1, 1]).startswith("One superclass: no group")
    assert title(0.9, 0.8, 0.7, [1, 2, 3]).endswith("no two are more than 0.90 alike")


def test_warnings_of_runs_and_logs_stand_in_the_page_once(folder: Path):
    campaign = read(folder)
    path = campaign.folder.run(campaign.run_names()[0]).metrics
    before = read_json(path)
    write_json(path, before | {"warnings": ["not converged after 9 iterations"]})
    campaign.folder.logs.mkdir(parents=True)
    log = campaign.folder.logs / "classify_em3d_s000.log"
    lines = (
        "10:00 em3d-K04-s000: warning: not converged after 9 iterations\n10:01 warning: slow disk\n"
    )
    log.write_text(lines)
    found = warnings_of(read(folder))
    page = render(folder)
    log.unlink()
    write_json(path, before)
    assert found == {
        "not converged after 9 iterations": ["em3d-K04-s000"],
        "slow disk": ["classify_em3d_s000"],
    }
    assert "2 warnings of runs and jobs stand in the part" in page and "slow disk</td>" in page


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(0.4, "only large differences could have been found"), (1.5, "none could have been found")],
)
def test_nothing_found_says_what_could_have_been(tmp_path: Path, fraction: float, words: str):
    folder = make_campaign(tmp_path / "null", n_particles=200, kind="null")
    add_subspace(folder, best=1)
    path = folder / "runs/subspace/evidence.json"
    write_json(path, read_json(path) | {"detectable_fraction": fraction})
    verdict = judge(read(folder))
    assert words in verdict.headline and verdict.badge == "Too few to tell"
    assert not any("nearly everything" in line for line in verdict.found)


def test_reasons_have_a_space_before_per_cent():
    assert reasons({"why": "100% of 20 agree"}) == ["100\N{NO-BREAK SPACE}% of 20 agree"]


def test_resolutions_on_an_axis_are_round_and_apart():
    marks = resolution_ticks(1 / 13.2)
    assert [name for _, name in marks] == ["100", "50", "30", "20", "15"]
    assert np.diff([f for f, _ in marks]).min() >= 1 / 13.2 / 9


def test_a_paper_finds_what_it_needs(folder: Path):
    campaign = read(folder)
    said = methods_paragraph(campaign)
    assert "300 particles with known poses (box 32 px, 6 Å per px)" in said
    assert "6 runs of em3d with 4 and 6 classes (3 seeds for each number)" in said
    assert "4 of 4 classes passed all tests" in said
    for found, words in (
        ({"pose_error": {"rotation": 1.0}, "gain": {"value": 9.0}}, "poses were refined locally"),
        ({"pose_error": None, "gain": {"value": -9.0}}, "the images show no error of them"),
        ({"pose_error": None, "gain": None}, "The given poses were taken as exact."),
    ):
        write_json(campaign.folder.prepare.poses, found)
        assert words in methods_paragraph(read(folder))
    campaign.folder.prepare.poses.unlink()
    record = {
        "emjax_version": "9.8",
        "commit": "0123456789abcdef",
        "finished": "2026-01-02T03:04:05+00:00",
    }
    machine = {"processor": "P", "system": "S", "cores": 2, "memory_gb": 8.0}
    write_json(campaign.folder.record, record | {"machine": machine})
    page = render(folder)
    assert "Version 9.8 (commit 0123456789ab)" in citation(campaign)
    assert "emjax reproduce results/x/campaign.json" in page
    assert "2026-01-02 03:04:05 UTC" in page and "P, 2 cores, S, 8 GB" in page
    files = [row[0] for row in deposition(read(folder))]
    campaign.folder.record.unlink()
    assert {"consensus/class_004_half2.mrc", "campaign.json", "consensus/stability.tsv"} <= {*files}
    assert all(
        (folder / name).exists()
        for name in files
        if name != "report.html" and name != "campaign.json"
    )


def test_every_option_has_its_meaning(tmp_path: Path):
    rows = {name: meaning for name, _, meaning in options(read_config(tmp_path / "x"))}
    assert rows["filter_resolution"].startswith("Å;") and all(rows.values())


def test_runs_that_share_part_of_a_division_are_not_said_to_share_nothing(tmp_path: Path):
    folder = make_campaign(tmp_path / "null", n_particles=200, kind="null")
    path = folder / "consensus/agreement.tsv"
    table = read_tsv(path)
    own = table["run"] == table["other"]
    for agreement, words in (
        (0.04, "the others do not repeat them"),
        (0.52, "seeds agree up to 0.52 of 1 (adjusted Rand index)"),
    ):
        write_tsv(path, table.assign(ari=np.where(own, 1.0, agreement)))
        (said,) = [line for line in judge(read(folder)).found if "maps of single runs" in line]
        assert words in said


@pytest.mark.parametrize(("fraction", "few"), [(0.01, False), (0.4, True), (1.5, True)])
def test_too_few_particles_are_no_reason_to_take_them_as_one_state(
    tmp_path: Path, fraction: float, few: bool
):
    folder = make_campaign(tmp_path / "null", n_particles=200, kind="null")
    add_subspace(folder, best=1)
    path = folder / "runs/subspace/evidence.json"
    write_json(path, read_json(path) | {"detectable_fraction": fraction})
    advice = " ".join(judge(read(folder)).advice)
    assert ("no evidence for one state" in advice) is few
    assert ("Refine all particles together" in advice) is not few


def test_a_focus_mask_is_not_advised_where_one_was_used(tmp_path: Path):
    folder = make_campaign(tmp_path / "null", n_particles=200, kind="null")
    without, used = (
        " ".join(judge(Campaign(CampaignFolder(folder), {"masks": {"focus": mask}})).advice)
        for mask in (None, "focus.mrc")
    )
    assert "try a focus mask around it" in without
    assert "try a focus mask" not in used and "Only differences inside the focus mask" in used


def test_methods_name_held_out_particles_only_where_they_were_asked(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=200)
    assert "held-out" not in methods_paragraph(read(folder)).split("passed all tests")[0]
    add_subspace(folder)
    assert "agreement of the runs and held-out particles" in methods_paragraph(read(folder))


def test_labels_alone_have_no_figure_of_probabilities(folder: Path):
    campaign = read(folder)
    name = campaign.run_names()[0]
    path = campaign.folder.run(name).posteriors
    given = np.load(path)
    assert mass_figure(campaign, name) is not None
    np.save(path, np.eye(given.shape[1], dtype=np.float32)[given.argmax(axis=1)])
    try:
        assert mass_figure(campaign, name) is None and ess_figure(campaign, name) is None
    finally:
        np.save(path, given)


def test_no_gain_on_held_out_particles_has_no_interval(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=200)
    path = folder / "consensus/stability.tsv"
    none = {"held_out_gain": 0.0, "held_out_low": 0.0, "held_out_high": 0.0, "distinct": False}
    write_tsv(path, read_tsv(path).assign(**none))
    page = render(folder)
    assert "no: class 2, no gain" in page
    assert "+0 nats" not in page and "0 nats (0 to 0)" not in page


def test_maps_that_are_not_filtered_are_not_said_to_be(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=200)
    assert "mean of all classes, every map filtered to " in render(folder)
    for c in range(1, 5):
        path = CampaignFolder(folder).consensus.class_fsc(c)
        write_tsv(path, read_tsv(path).assign(fsc=1.0))
    assert "every map filtered" not in render(folder)


def test_what_a_map_of_images_holds_constant_is_not_followed(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=200)
    add_map(folder)
    name = best_map(read(folder))
    path = folder / f"runs/{name}/nodes.tsv"
    names = {f.name for f in som_figures(read(folder), name)}
    assert "som-defocus" in names
    write_tsv(path, read_tsv(path).assign(mean_defocus=15000.001))
    assert {f.name for f in som_figures(read(folder), name)} == names - {"som-defocus"}


def test_classes_of_one_run_are_not_given_what_only_several_runs_can_say(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=200)
    path = folder / "consensus/elbows.json"
    page = render(folder)
    every = "Mean stability", "q-value against unrelated runs", "have a stability of 0.8 or more"
    assert all(words in page for words in every)
    write_json(path, read_json(path) | {"verdict": "unreplicated"})
    page = render(folder)
    assert not any(words in page for words in every)
    assert page.count("of one run only</td>") == 4
    assert "no other run has it, so nothing tests whether it is chance" in page
    assert "no larger than unrelated runs" not in page
    assert "passed all tests" not in methods_paragraph(read(folder))
