"""The arithmetic behind the figures."""

import base64
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage
from sklearn.metrics import adjusted_rand_score

from emjax.campaign.folder import CampaignFolder
from emjax.consensus.tree import cut_tree
from emjax.io.files import read_tsv, write_json, write_tsv
from emjax.report import flow, raster
from emjax.report.agreement import (
    agreement_matrix,
    agreement_sentence,
    rand_of_groups,
    seed_agreement,
    strangers,
)
from emjax.report.campaign import Campaign
from emjax.report.figure import percent, plural
from emjax.report.landscape import between_classes
from emjax.report.number import cut_from_left, part_colours, tree_layout
from emjax.report.publish import runs_in_words
from emjax.report.quality import class_resolution, stability_figure
from emjax.report.som import best_map, som_figures
from emjax.report.svg import Chart, number, ticks
from emjax.report.verdict import judge
from tests.report.campaigns import add_map, make_campaign, read, render


def test_the_cut_is_numbered_from_left_to_right():
    tree = linkage(np.random.default_rng(0).normal(size=(20, 3)), "average")
    order, place = tree_layout(tree)
    assert sorted(order) == list(range(20)) and (np.diff(place[order]) == 1).all()
    for k in range(1, 21):
        ours = cut_from_left(tree, k)
        from_left = ours[order].tolist()
        assert from_left == sorted(from_left) and max(from_left) == k - 1
        same = cut_tree(tree, k)
        assert adjusted_rand_score(ours, same) == 1
        assert ((ours == -1) == (same == -1)).all()


def test_colours_follow_the_classes_in_use():
    groups = pd.DataFrame({"size": [10, 50, 40], "consensus_class": [3, 1, 1]})
    assert part_colours(np.array([0, 1, 2]), groups) == [2, 0, 3]  # new: that of no class in use


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_rand_index_of_groups_is_that_of_their_particles(seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, 80), rng.integers(0, 4, 80)
    groups, size = np.unique(np.stack([a, b]), axis=1, return_counts=True)
    both = (a > 0) & (b > 0)
    # The same pairs are counted, so only one division rounds.
    expected = adjusted_rand_score(a[both], b[both])
    assert np.isclose(rand_of_groups(*groups, size), expected, atol=1e-12)
    assert rand_of_groups(groups[0], np.zeros_like(size), size) == 1


def test_resolution_says_whether_the_curve_falls():
    frequency, fsc = np.array([0.01, 0.02, 0.03]), np.array([1.0, 0.243, 0.043])
    assert class_resolution(frequency, fsc) == (pytest.approx(1 / 0.025), True)
    assert class_resolution(frequency, np.ones(3)) == (pytest.approx(1 / 0.03), False)


def test_words_and_numbers():
    assert plural(1, "class", "classes") == "1 class"
    assert plural(8000, "particle") == "8,000 particles"
    assert percent(1, 3).split() == ["33", "%"]
    assert percent(999, 1000).split() == [">", "99", "%"]
    assert number(8000.0) == "8,000"
    assert number(float("nan")) == "–"
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_text_in_a_chart_is_escaped():
    chart = Chart((0, 1), (0, 1), label="<a>")
    chart.text(1, 2, "<b>&")
    chart.dot(0, 0, "\"'><script>")
    assert "<b>" not in chart.svg() and "<script>" not in chart.svg() and "<a>" not in chart.svg()


def test_methods_that_sort_by_different_things_are_named(tmp_path: Path):
    names = ["em3d-K04-s000", "em3d-K04-s001", "som-5x5-s000", "som-5x5-s001"]
    ari = np.array([[1, 0.9, 0.01, 0], [0.9, 1, 0, 0.02], [0.01, 0, 1, 0.8], [0, 0.02, 0.8, 1]])
    first, second = np.triu_indices(4, 1)
    pairs = {"run": np.array(names)[first], "other": np.array(names)[second]}
    write_tsv(
        tmp_path / "runs.tsv", pd.DataFrame({"run": names, "method": ["em3d"] * 2 + ["som"] * 2})
    )
    write_tsv(
        tmp_path / "consensus/agreement.tsv", pd.DataFrame(pairs | {"ari": ari[first, second]})
    )
    assert strangers(read(tmp_path)) == ("em3d", "som")


def test_seeds_are_compared_within_a_method(tmp_path: Path):
    runs = ["em3d-K03-s000", "em3d-K03-s001", "sub-K03-s000", "ext-a", "ext-b"]
    methods = ["em3d", "em3d", "subspace", "external", "external"]
    table = pd.DataFrame({"run": runs, "method": methods, "n_classes": 3})
    table["seed"] = [0, 1, 0, None, None]
    write_tsv(tmp_path / "runs.tsv", table)
    pairs = [(a, b) for i, a in enumerate(runs) for b in runs[i + 1 :]]
    agreement = pd.DataFrame(pairs, columns=["run", "other"])
    agreement["ari"] = [0.9 if pair == tuple(runs[:2]) else 0.1 for pair in pairs]
    write_tsv(tmp_path / "consensus" / "agreement.tsv", agreement)
    campaign = read(tmp_path)
    matrix = agreement_matrix(campaign)
    assert matrix is not None
    assert seed_agreement(campaign, *matrix) == {3: 0.9}


def test_answers_that_subspace_keeps_are_not_seeds_that_agree(tmp_path: Path):
    runs = [f"sub-K{k:02d}-s{s:03d}" for k in (3, 4) for s in (0, 1)]
    table = pd.DataFrame({"run": runs, "method": "subspace", "n_classes": [3, 3, 4, 4]})
    write_tsv(tmp_path / "runs.tsv", table.assign(seed=[114, 114, 5, 31]))
    pairs = [(a, b) for i, a in enumerate(runs) for b in runs[i + 1 :]]
    agreement = pd.DataFrame(pairs, columns=["run", "other"])
    # The seeds of three classes have one answer, which stands here twice.
    agreement["ari"] = [1.0 if pair == tuple(runs[:2]) else 0.6 for pair in pairs]
    write_tsv(tmp_path / "consensus" / "agreement.tsv", agreement)
    assert agreement_sentence(read(tmp_path)) == "runs agree 0.60 of 1 (adjusted Rand index)"
    config = {"runs": {"subspace": {"n_classes": [3, 4], "seeds": 200, "keep": 2}}}
    said = next(iter(runs_in_words(Campaign(CampaignFolder(tmp_path), config))))
    assert said.endswith("3 and 4 classes (200 seeds for each number, the best 2 answers kept)")


def test_runs_of_other_programs_are_not_called_unconverged(tmp_path: Path):
    folder = make_campaign(tmp_path / "c")
    runs = read_tsv(folder / "runs.tsv").drop(columns="converged")
    runs["converged"] = [None, *[True] * (len(runs) - 1)]
    write_tsv(folder / "runs.tsv", runs)
    said = judge(read(folder)).distrust
    assert not any("had not converged" in line for line in said)
    runs["converged"] = [None, False, *[True] * (len(runs) - 2)]
    write_tsv(folder / "runs.tsv", runs)
    said = judge(read(folder)).distrust
    assert any(line.startswith(f"1 run of {len(runs) - 1} had not") for line in said)


def test_doubts_about_the_input_come_first(tmp_path: Path):
    folder = make_campaign(tmp_path / "c", n_particles=400)
    before = judge(read(folder)).distrust
    write_json(folder / "prepare" / "doubts.json", ["the images look phase-flipped, <b>not</b> so"])
    campaign = read(folder)
    assert judge(campaign).distrust == [
        "The input: the images look phase-flipped, <b>not</b> so.",
        *before,
    ]
    assert "The input: the images look phase-flipped, &lt;b&gt;not&lt;/b&gt; so." in render(folder)
    write_json(folder / "prepare" / "focus.json", ["focus.mrc: it may be inverted"])
    assert "focus.mrc" not in render(folder)  # of a mask that is no longer used
    assert "The input: focus.mrc: it may be inverted." in render(folder, masks={"focus": "f.mrc"})


def test_methods_that_have_nothing_in_common_make_the_verdict_careful(tmp_path: Path):
    folder = make_campaign(tmp_path / "mixed", n_particles=400)
    assert judge(read(folder)).mood == "found"
    for name in ("runs.tsv", "consensus/agreement.tsv"):
        table = read_tsv(folder / name)
        k6 = [table[column].str.contains("K06") for column in table if column in ("run", "other")]
        if len(k6) == 2:
            table.loc[k6[0] != k6[1], "ari"] = -0.002
        else:
            table.loc[k6[0], "method"] = "som"
        write_tsv(folder / name, table)
    campaign = read(folder)
    assert judge(campaign).mood == "warn"
    page = render(folder)
    assert ">0.00<" in page and ">-0.00<" not in page
    figure = stability_figure(campaign, 1)
    assert figure is not None and "in nearly every run" not in figure.title
    assert "em3d and som, which sort by different things" in figure.title


def test_a_stability_to_ask_for_leaves_most_of_every_class(tmp_path: Path):
    folder = make_campaign(tmp_path / "clean", n_particles=400)
    campaign = read(folder)
    labels, values = (campaign.particles[n] for n in ("rlnClassNumber", "emjaxStability"))

    def asked(stability: np.ndarray) -> str:
        campaign.particles["emjaxStability"] = stability
        return " ".join(x for x in judge(campaign).advice if "emjaxStability" in x)

    assert "above 0.8; that leaves 100" in asked(np.ones(400)) and "of class 4" in asked(values)
    assert "above 0.6" in asked(np.where(labels == 2, 0.65, 1.0))
    assert not asked(0.5 * values)


def test_png_has_the_pixels_given():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    data = base64.b64decode(raster.png_uri(image).split(",")[1])
    start, length = data.index(b"IDAT") + 4, data.index(b"IEND") - 8
    rows = np.frombuffer(zlib.decompress(data[start:length]), np.uint8).reshape(4, 13)
    assert (rows[:, 0] == 0).all()  # no filter
    assert (rows[:, 1:].reshape(4, 4, 3) == image).all()


def test_shrinking_keeps_the_mean():
    volume = np.random.default_rng(0).normal(size=(12, 12, 12))
    assert np.isclose(raster.shrink(volume, 4).mean(), volume.mean())
    assert raster.shrink(volume, 4).shape == (4, 4, 4)


def test_blocks_stand_where_their_particles_go():
    rng = np.random.default_rng(0)
    classes, size = np.arange(1, 7), rng.integers(10, 90, 6).astype(float)
    columns = [rng.permutation(classes) for _ in range(3)] + [classes]
    orders = flow._orders(columns, size)
    for labels, order in zip(columns, orders):
        places = {int(k): i for i, k in enumerate(order[order > 0])}
        assert [places[int(k)] for k in labels] == list(range(6))  # no band crosses another
    stack = flow.Stack("run", np.bincount(columns[0], size), orders[0])
    ends = stack.tops + stack.size * stack.scale
    assert np.isclose(ends.max() + stack.gap, 1)


def test_share_of_the_spread_between_classes():
    points = np.array([[0.0, 0], [0, 2], [10, 0], [10, 2], [5, 5]])
    labels = np.array([1, 1, 2, 2, 0])
    # 100 of 104 squared units lie between the two centres; the unassigned point takes no part.
    assert np.isclose(between_classes(points, labels), 100 / 104)


def test_metadata_that_a_map_follows_are_drawn(tmp_path: Path):
    folder = make_campaign(tmp_path / "map", n_particles=200)
    add_map(folder)
    names = {figure.name for figure in som_figures(read(folder), best_map(read(folder)))}
    assert {"som-defocus", "som-rlnCtfMaxResolution"} <= names
    assert "som-rlnCtfFigureOfMerit" not in names
