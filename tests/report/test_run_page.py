"""A page per run: its flow, its pictures and what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, write_json, write_text
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.report import history
from emjax.report.crossing import crossing_figure
from emjax.report.run_maps import ConsensusMaps, RunMaps, regularised_difference, wiener_weights
from tests.report.campaigns import add_map, add_run_maps, make_campaign, read, render, render_run
from tests.report.consensus_files import blob

RUN = "em3d-K04-s001"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_campaign(tmp_path_factory.mktemp("run") / "demo", n_particles=400, noise=0.02)
    add_run_maps(folder, RUN)
    return folder


def run_maps(folder: Path, name: str = RUN) -> tuple[RunMaps, dict[int, int]]:
    """Of a run whose classes are those of the consensus, and which these are."""
    campaign = read(folder)
    labels = np.load(campaign.folder.run(name).posteriors).argmax(axis=1)
    truth = campaign.particles["rlnClassNumber"].astype(int)
    partners = {k + 1: int(np.bincount(truth[labels == k]).argmax()) for k in range(4)}
    consensus = ConsensusMaps(campaign.folder.consensus)
    return RunMaps(campaign, name, consensus, partners), partners


def test_flow_is_drawn_for_every_step_and_sums_to_the_class_sizes(campaign: Path):
    metrics = read_json(campaign / f"runs/{RUN}/metrics.json")
    rows = metrics["history"]
    figures = history.flow_diagram(RUN, metrics), history.flow_matrices(RUN, metrics)
    for figure in figures:
        assert figure is not None
        table = figure.data
        assert table["next"].astype(int).unique().tolist() == list(range(2, 15))
        for before, after in zip(rows, rows[1:]):
            step = table[table["next"].astype(int) == after["iteration"]]
            for column, sizes in (("class", before), ("next_class", after)):
                found = step.groupby(column)["particles"].sum().reindex(range(1, 5), fill_value=0)
                assert found.tolist() == sizes["class_sizes"]
    short = history.flow_diagram(RUN, metrics, most=3)
    assert short is not None
    assert short.data["next"].astype(int).unique().tolist() == [12, 13, 14]


@pytest.mark.parametrize(("k", "steps"), [(2, 1), (4, 13), (30, 40)])
def test_drawings_of_many_classes_and_steps_stay_inside_their_frame(k: int, steps: int):
    rng = np.random.default_rng(0)
    flow = rng.integers(0, 20, (k, k)).tolist()
    rows = [{"iteration": i, "stage": "full", "flow": flow} for i in range(2, steps + 2)]
    for figure in (
        history.flow_diagram("run", {"history": rows}),
        history.flow_matrices("run", {"history": rows}),
    ):
        assert figure is not None
        drawing = str(figure.drawing)
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing).groups())
        for box in re.findall(
            r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawing
        ):
            x, y, across, down = map(float, box)
            assert 0 <= x and x + across <= width and 0 <= y and y + down <= height
        for x, y in re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"', drawing):
            assert 0 <= float(x) <= width and 8 <= float(y) <= height
        assert len(drawing) < 8e6


def test_weights_follow_the_fsc_by_frequency():
    frequency = np.arange(1, 9) / 160.0
    weights = wiener_weights(frequency, np.array([1, 0.5, 0.143, 0, -0.2, 0, 0, 0]), 20, 160.0)
    assert weights[0, 0, 0] == 1
    expected = [1, 2 / 3, 0.286 / 1.143, 0, 0]
    np.testing.assert_allclose(weights[0, 0, 1:6], expected, atol=1e-12)
    np.testing.assert_allclose(weights[2, 0, 0], 2 / 3)
    np.testing.assert_allclose(weights[-2, 0, 0], 2 / 3)
    assert weights[9, 9, 9] == 0  # finer than any shell


def test_a_difference_of_noise_alone_is_filtered_away():
    rng = np.random.default_rng(1)
    body, noise = blob(24, (0, 0, 0), 0.2), rng.normal(size=(24, 24, 24))
    frequency, ones = np.arange(1, 12) / 24.0, np.ones((24, 24, 24))
    nothing = wiener_weights(frequency, np.zeros(11), 24, 24.0)
    noise -= noise.mean()
    assert np.abs(regularised_difference(body + noise, body, nothing, ones)).max() < 1e-2
    everything = wiener_weights(frequency, np.ones(11), 24, 24.0)
    # Shells end at the Nyquist frequency, corners of the transform lie beyond.
    kept = regularised_difference(2 * body, body, everything, ones)
    np.testing.assert_allclose(kept, body, atol=0.03)


def test_differences_vanish_where_a_class_is_that_of_the_consensus(campaign: Path, tmp_path: Path):
    maps, partners = run_maps(campaign)
    own, other = maps.differences(dict.fromkeys(partners, 100))
    for k in partners:
        assert np.abs(own[k]).max() > 0.1
        assert np.abs(other[k]).max() < 1e-5
    # A lobe that the consensus lacks is seen where it is, and nowhere else.
    folder = make_campaign(tmp_path / "lobe", n_particles=400, noise=0.02)
    add_run_maps(folder, RUN)
    extra = blob(32, (0.2, -0.2, 0), 0.09)
    for part in ("half1", "half2"):
        path = CampaignFolder(folder).run(RUN).class_map(1, part)
        volume, voxel_size = read_volume(path)
        write_volume(path, volume + extra.astype(np.float32), voxel_size)
    maps, partners = run_maps(folder)
    _, other = maps.differences(dict.fromkeys(partners, 100))
    at = np.unravel_index(np.abs(other[1]).argmax(), other[1].shape)
    assert np.abs(np.array(at) - (22, 10, 16)).max() <= 1
    assert 0.4 < other[1][at] < 1.2
    assert all(np.abs(other[k]).max() < 1e-5 for k in partners if k > 1)


def test_maps_are_compared_on_the_box_of_the_run(campaign: Path):
    folder = CampaignFolder(campaign).consensus
    full, halved = (ConsensusMaps(folder)(1, box) for box in (32, 16))
    assert full is not None and halved is not None
    assert full.shape == (32,) * 3 and halved.shape == (16,) * 3
    # Densities stay what they are.
    assert halved.mean() == pytest.approx(full.mean(), rel=0.02)
    assert ConsensusMaps(folder)(99, 32) is None


def test_the_page_says_how_the_run_went(campaign: Path):
    page = render_run(campaign, RUN)
    assert "14 iterations: 5 at coarse frequencies, 9 at all frequencies." in page
    assert "(less than switch_convergence, 2 %)" in page
    assert "number 2 of 3 runs with 4 classes" in page
    assert "Agreement with the consensus (adjusted Rand index): 0.9" in page
    for name in ("history", "flow-matrices", "ess", "mass", "crossing", "resolution", "switched"):
        assert f'id="figure-{name}"' in page
    assert page.count("Difference from consensus class") == 4
    assert 'href="../../report.html#panel-runs"' in page
    assert 'href="../em3d-K04-s000/report.html"' in page


def test_warnings_of_the_run_and_of_the_log_of_its_job_are_seen(tmp_path: Path):
    folder = make_campaign(tmp_path / "results" / "warned", n_particles=200)
    path = folder / f"runs/{RUN}/metrics.json"
    write_json(
        path,
        read_json(path) | {"warnings": ["class 3 is dead: 2 of 200 <particles>"], "log": "a.log"},
    )
    line = "2026-01-01 00:00:00 warning: masks.focus: all of it lies outside"
    write_text(tmp_path / "logs/warned/a.log", f"2026-01-01 00:00:00 begun\n{line}\n{line}\n")
    page = render_run(folder, RUN)
    assert page.count("class 3 is dead: 2 of 200 &lt;particles&gt;") == 1
    assert page.count("masks.focus: all of it lies outside") == 1
    assert "Converged, with warnings" in page
    assert "is dead" not in render_run(folder, "em3d-K04-s000")


def test_runs_without_maps_or_iterations_show_what_they_have(tmp_path: Path):
    folder = make_campaign(tmp_path / "others", n_particles=200)
    add_map(folder)
    write_json(folder / "runs/ext-mine/metrics.json", {"method": "external", "n_classes": 3})
    posteriors = np.eye(3, dtype=np.float32)[np.arange(200) % 3]
    posteriors[:20] = 0  # of no class
    np.save(folder / "runs/ext-mine/posteriors.npy", posteriors)
    (folder / "runs.tsv").unlink()
    page = render_run(folder, "ext-mine")
    assert "ext-mine: 3 classes of 180 particles" in page
    assert "Classes of another program" in page and 'id="figure-crossing"' in page
    assert 'id="panel-iterations"' not in page and 'id="class-1"' not in page
    assert page.count("<image ") == 0
    assert render_run(folder, "som-4x4-s000").count("<image ") == 32
    add_run_maps(folder, RUN, parts=("",))
    path = folder / f"runs/{RUN}/metrics.json"
    optimum = {"method": "subspace", "optimum": 1, "reached_by": 0.94, "history": []}
    write_json(path, read_json(path) | optimum)
    page = render_run(folder, RUN)
    assert "94\N{NO-BREAK SPACE}% of the seeds ended in it" in page
    assert "by the FSC of its consensus class, because the run has no half-maps" in page
    assert 'id="class-4"' in page and 'id="panel-iterations"' not in page


def test_classes_are_counted_beside_those_of_the_consensus():
    crossed = np.array([[90.0, 10.0], [0.0, 50.0], [30.0, 20.0]])
    figure = crossing_figure("run", crossed)
    assert figure is not None
    assert figure.title.startswith("85\N{NO-BREAK SPACE}% of the particles")
    assert figure.data["particles"].tolist() == [90, 10, 0, 50, 30, 20]
    assert crossing_figure("run", np.array([[10.0], [20.0]])) is None


def test_the_campaign_links_to_the_pages_that_are_there(tmp_path: Path):
    folder = make_campaign(tmp_path / "linked", n_particles=200)
    write_text(folder / f"runs/{RUN}/report.html", "")
    page = render(folder)
    assert re.findall(r'<a href="(runs/[^"]*)">([^<]*)</a>', page) == [
        (f"runs/{RUN}/report.html", RUN)
    ]
    # The input class that a consensus class is most like opens at that class.
    first = "em3d-K04-s000"
    write_text(folder / f"runs/{first}/report.html", "")
    for c in range(1, 5):
        assert f'<a href="runs/{first}/report.html#class-{c}">{first}.{c}</a>' in render(folder)
