"""The whole page: self-contained, honest, safe, small."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, read_tsv, write_json, write_tsv
from emjax.report.class_maps import WIDEST
from emjax.report.frame import embed
from emjax.report.held_out import evidence_figure
from emjax.report.page import render_report, write_figures
from emjax.report.provenance import facts, run_table, times
from tests.report.campaigns import add_map, add_subspace, make_campaign, read, read_config, render


def headline(page: str) -> str:
    found = re.search(r'<h1 id="headline">(.*?)</h1>', page, re.S)
    assert found
    return found[1]


def test_states_the_number_of_classes_and_particles(campaign: Path):
    page = render(campaign)
    assert "4 reproducible classes hold 2,000 of 2,000 particles" in headline(page)
    assert "false-discovery rate of 5 %" in page


def test_says_plainly_that_there_is_nothing(null_campaign: Path):
    page = render(null_campaign)
    assert "No reproducible classes" in headline(page)
    assert "reproducible classes hold" not in page


def test_warns_of_classes_that_follow_the_viewing_direction(jittered_campaign: Path):
    page = render(jittered_campaign)
    assert 'class="verdict warn"' in page
    assert "correlate with viewing direction" in page
    assert "Refine the poses first" in page


def test_one_class_shows_what_the_classes_of_its_best_run_follow(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=200, kind="null")
    write_json(folder / "consensus/elbows.json", {"recommended": 1, "verdict": "continuum"})
    rows = [f"em3d-K04-s001.{c}\trigid-body motion\t0.8\t\t\tTrue" for c in (1, 2)]
    head = "class\tnuisance\teffect_size\tp_value\tq_value\tflag"
    table = [head, "1\trigid-body motion\t0\t\t\tFalse", *rows]
    (folder / "consensus/confounders.tsv").write_text("\n".join(table) + "\n")
    page = render(folder)
    assert "difference map of classes 1, 2 of em3d-K04-s001: particles are sorted by" in page
    assert "2 classes correlate with rigid-body motion: distrust them" in page
    assert "what differs gradually looks like the error of the poses" in headline(page)
    assert page.count("local angular") == 1
    (folder / "consensus/confounders.tsv").write_text(f"{head}\n")
    page = render(folder)
    assert "The particles differ gradually" in headline(page) and page.count("local angular") == 1


@pytest.mark.parametrize(
    ("nuisance", "mood", "words"),
    [
        ("intensity scale", "warn", "Another intensity scale explains up to 45 %"),
        ("rigid-body motion", "warn", "sorted by the error of their pose"),
        ("defocus", "warn", "Look into defocus"),
    ],
)
def test_each_nuisance_means_something_else(tmp_path: Path, nuisance: str, mood: str, words: str):
    folder = make_campaign(tmp_path / "x", n_particles=200, kind="jittered")
    path = folder / "consensus/confounders.tsv"
    path.write_text(path.read_text().replace("viewing_direction", nuisance))
    page = render(folder)
    assert f'class="verdict {mood}"' in page
    assert words in page


def test_asks_no_network(campaign: Path):
    page = render(campaign)
    addresses = set(re.findall(r'(?:src|href)="(?!data:|#|consensus/)([^"]*)', page))
    assert not addresses
    assert not [a for a in re.findall(r"https?://[^\s\"'<)]+", page) if "w3.org" not in a]


def test_names_from_users_stay_text(tmp_path: Path):
    hostile = "<script>alert(1)</script>\"'&.mrcs"
    folder = make_campaign(tmp_path / "x", n_particles=300, stack="a.mrcs")
    runs = (folder / "runs.tsv").read_text().replace("em3d-K04-s000", "<script>alert(2)</script>")
    (folder / "runs.tsv").write_text(runs)
    page = render(folder, campaign=hostile, particles=hostile)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_embedded_data_cannot_end_its_element():
    assert "<" not in embed({"a": "</script><!--"})


@pytest.mark.slow
def test_twenty_classes_at_full_box_stay_below_15_mb(tmp_path: Path):
    folder = make_campaign(
        tmp_path / "large", n_states=20, class_numbers=(20,), n_particles=3000, box=WIDEST
    )
    page = render(folder)
    assert page.count('<article class="card"') == 20 and 3e6 < len(page.encode()) < 15e6


@pytest.mark.parametrize(
    "missing",
    [
        "consensus/agreement.tsv",
        "consensus/confounders.tsv",
        "consensus/linkage.npy",
        "consensus/intersections.tsv",
        "prepare/noise.tsv",
        "runs.tsv",
        "consensus/stability.tsv",
    ],
)
def test_leaves_out_what_was_not_written(tmp_path: Path, missing: str):
    folder = make_campaign(tmp_path / "part", n_particles=200)
    (folder / missing).unlink()
    assert headline(render(folder))


def test_an_empty_campaign_still_gives_a_page(tmp_path: Path):
    assert "No reproducible classes" in render_report(CampaignFolder(tmp_path), {})


@pytest.mark.parametrize("particles", [1, 2])
def test_one_particle_left_still_gives_a_page(tmp_path: Path, particles: int):
    """One group and no merge: a tree that SciPy does not draw."""
    folder = make_campaign(tmp_path / "one", n_particles=particles, n_states=1, kind="null")
    groups = folder / "consensus/intersections.tsv"
    write_tsv(groups, read_tsv(groups).assign(kept=True)[:1])
    np.save(folder / "consensus/linkage.npy", np.zeros((0, 4)))
    assert headline(render(folder))
    write_figures(CampaignFolder(folder), read_config(folder))


def test_shows_superclasses_where_rebalanced(tmp_path: Path):
    folder = make_campaign(tmp_path / "rebalanced", n_particles=200)
    (folder / "rebalance").mkdir()
    affinity = np.full((4, 4), 0.2) + 0.8 * np.eye(4)
    np.save(folder / "rebalance/affinity.npy", affinity)
    (folder / "rebalance/superclasses.tsv").write_text(
        "class\tsuperclass\tsize\n1\t1\t10\n2\t2\t10\n3\t1\t10\n4\t2\t10\n"
    )
    page = render(folder)
    assert "2 superclasses" in page


def test_says_which_classes_were_picked(tmp_path: Path):
    folder = make_campaign(tmp_path / "picked", n_particles=200)
    write_json(folder / "rebalance/rebalance.json", {"keep": [1, 3], "kept": 123, "excluded": 77})
    page = render(folder)
    assert "You keep classes 1, 3: 123 particles" in page
    assert page.count(", excluded</h3>") == 2


def test_time_and_memory_of_every_job_and_together(tmp_path: Path):
    folder = make_campaign(tmp_path / "timed", n_particles=200)
    job = {"seconds": 20.0, "cpu_seconds": 35.25, "max_rss_mb": 810.4}
    short = {"seconds": 0.5, "cpu_seconds": None, "max_rss_mb": None}
    rules = {"classify_em3d_s000": job, "collect_runs": short}
    write_json(folder / "campaign.json", {"rules": rules, "versions": {"jax": "0.10.2"}})
    rows = times(read(folder))
    assert rows == [
        ["classify_em3d_s000", "20", "35.2", "810"],
        ["collect_runs", "0.5", "–", "–"],
        ["together", "20.5", "35.2", "810"],
    ]
    assert "jax 0.10.2" in render(folder)


def test_says_whether_half_sets_were_drawn(tmp_path: Path):
    folder = make_campaign(tmp_path / "halves", n_particles=200)
    prepared = read_json(folder / "prepare/prepare.json")
    for given, words in ((200, "from the particle file"), (0, "of 200 particles drawn at random")):
        write_json(folder / "prepare/prepare.json", prepared | {"half_sets_given": given})
        assert dict(facts(read(folder)))["Half-sets"].startswith(words)


def test_runs_whose_classes_never_parted_say_nothing(tmp_path: Path):
    folder = make_campaign(tmp_path / "same", n_particles=200, kind="null")
    for path in folder.glob("runs/*/metrics.json"):
        metrics = read_json(path)
        k = metrics["options"]["n_classes"]
        metrics["history"][0] |= {"class_sizes": [200] + [0] * (k - 1), "class_mass": [200 / k] * k}
        write_json(path, metrics)
    page = render(folder)
    assert "nothing was separated" in headline(page)
    assert "particles_per_reconstruction" in page


def test_shows_the_map_of_images_node_by_node(tmp_path: Path):
    folder = make_campaign(tmp_path / "map", n_particles=200)
    add_map(folder)
    page = render(folder)
    assert "92\N{NO-BREAK SPACE}% of the particles have their two best nodes side by side" in page
    assert page.count("<image ") == 32


def test_shows_what_held_out_particles_and_seeds_say(tmp_path: Path):
    folder = make_campaign(tmp_path / "sub", n_particles=200)
    add_subspace(folder)
    page = render(folder)
    assert "3 classes explain held-out particles better than 2, by 300 nats (270 to 330)" in page
    assert "the largest number of classes that was tried" not in page
    assert "By held-out particles (maps inside the subspace): 3 classes raise" in page
    assert "Held-out particles confirm 3 classes only" in page
    assert "80\N{NO-BREAK SPACE}% of 60 seeds reach the best answer for 3 classes" in page
    assert "60 seeds ended in 3 distinct answers for 3 classes" in page
    assert "1 component (1) follows the error of the poses." in page


def test_says_when_the_largest_number_tried_explains_most(tmp_path: Path):
    folder = make_campaign(tmp_path / "most", n_particles=200)
    add_subspace(folder, best=5)
    page = render(folder)
    assert "5 is the largest number of classes that was tried (maps inside the subspace)" in page
    figure = evidence_figure(read(folder), "subspace")
    assert figure is not None
    assert "5 classes explain held-out particles better than 4, by 300 nats" in figure.title
    assert "more were not tried" in figure.title


def test_the_number_of_held_out_particles_beside_another_has_a_sentence(tmp_path: Path):
    folder = make_campaign(tmp_path / "beside", n_particles=200)
    add_subspace(folder, best=5)
    figure = evidence_figure(read(folder), "subspace")
    assert figure and "the runs do not agree on a division into 5" in figure.reading
    add_subspace(folder, best=3)
    figure = evidence_figure(read(folder), "subspace")
    assert figure and "held-out particles confirm 3 only" in figure.reading
    add_subspace(folder, best=4)
    figure = evidence_figure(read(folder), "subspace")
    assert figure and "The consensus has" not in figure.reading


def test_a_number_that_was_asked_for_is_not_given_the_reasons_of_another(tmp_path: Path):
    folder = make_campaign(tmp_path / "asked", n_particles=400)
    path = folder / "consensus/elbows.json"
    elbows = read_json(path) | {"why": "4 classes: so it is."}
    write_json(path, elbows)
    page = render(folder)
    assert "<h3>Why 4 classes</h3>" in page and "The classes are then exactly these" in page
    write_json(path, elbows | {"chosen": 2})
    page = render(folder)
    assert "<h3>Why 4 classes would be recommended (2 in use)</h3>" in page


def test_runs_of_earlier_options_are_left_out(tmp_path: Path):
    folder = make_campaign(tmp_path / "runs", n_particles=200)
    add_map(folder, name="som-4x4-s000")
    left = read_tsv(folder / "runs.tsv")
    write_tsv(folder / "runs.tsv", left[left["method"] != "som"])
    assert "som-4x4-s000" not in read(folder).metrics and "som-4x4-s000" not in render(folder)


def test_a_run_without_likelihood_has_an_empty_cell(tmp_path: Path):
    folder = make_campaign(tmp_path / "som", n_particles=200)
    runs = read_tsv(folder / "runs.tsv")
    runs.loc[0, "log_likelihood"] = np.nan
    write_tsv(folder / "runs.tsv", runs)
    head, rows = run_table(read(folder))
    cells = [row[head.index("Log-likelihood per particle")] for row in rows]
    assert cells[0] == "" and all(cells[1:])


def test_says_when_classes_only_cut_a_continuum(tmp_path: Path):
    folder = make_campaign(tmp_path / "sub", n_particles=200)
    add_subspace(folder, states=1)
    page = render(folder)
    assert "Held-out particles show a continuum, which 3 classes cut" in page
    assert "Held-out particles confirm 1 class only" in page


def test_says_when_held_out_particles_confirm_nothing(tmp_path: Path):
    folder = make_campaign(tmp_path / "sub", n_particles=200, kind="null")
    add_subspace(folder, best=1)
    page = render(folder)
    assert (
        "No number of classes explains held-out particles better than one: 2 gains -200 nats"
        in page
    )


def test_warns_of_poses_where_held_out_particles_gain_by_their_error(tmp_path: Path):
    folder = make_campaign(tmp_path / "poses", n_particles=200, kind="null")
    here = folder / "runs/em3d"
    here.mkdir(parents=True, exist_ok=True)
    gains = pd.DataFrame({"n_classes": [1, 4], "gain": [0.0, 2e3]})
    gains = gains.assign(gain_low=[0, 1600], gain_high=[0, 2400])
    for end in ("", "_low", "_high"):
        gains[f"difference{end}"] = gains[f"gain{end}"]
    write_tsv(here / "evidence.tsv", gains)
    classes = {"chosen": 1}
    judged = {"discrete_classes": 1, "follows_poses": True, "classes": classes}
    write_json(here / "evidence.json", judged)
    page = render(folder)
    assert "What more classes explain of held-out particles follows the error of" in page
    assert "The poses: classes of full maps follow their error." in page


def test_every_figure_stands_alone_as_svg(campaign: Path, tmp_path: Path):
    from xml.etree import ElementTree

    written = write_figures(CampaignFolder(campaign), read_config(campaign), tmp_path)
    assert {"dendrogram", "agreement", "flow", "occupancy"} <= {p.stem for p in written}
    for path in written:
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg") and int(root.attrib["width"]) > 300
