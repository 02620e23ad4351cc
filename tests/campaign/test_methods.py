"""What each method is for the workflow: its runs, its jobs and what they cost."""

from pathlib import Path

import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.methods import METHODS, all_runs
from emjax.campaign.methods.base import seed_list
from emjax.campaign.settings import complete
from tests.campaigns import tiny_config


def test_batches_hold_consecutive_seeds_with_every_number_of_classes():
    em3d = {"n_classes": [2, 10], "seeds": 5}
    config = complete(tiny_config(runs={"em3d": em3d}, seeds_per_job=2))
    batches = METHODS["em3d"].batches(config)
    assert [batch.seeds for batch in batches] == [(0, 1), (2, 3), (4,)]
    assert list(map(str, batches[1].runs)) == [
        "em3d-K02-s002",
        "em3d-K02-s003",
        "em3d-K10-s002",
        "em3d-K10-s003",
    ]
    assert batches[1].columns == 24
    assert [run.n_classes for run in batches[1].runs] == [2, 2, 10, 10]
    assert seed_list(3) == [0, 1, 2] and seed_list([7]) == [7]


def test_maps_are_batched_by_seeds():
    som = {"map": [7, 5], "seeds": 3}
    batches = METHODS["som"].batches(complete(tiny_config(runs={"som": som}, seeds_per_job=2)))
    assert [list(map(str, batch.runs)) for batch in batches] == [
        ["som-7x5-s000", "som-7x5-s001"],
        ["som-7x5-s002"],
    ]


def test_the_order_of_the_runs_is_that_of_the_methods():
    runs = {
        "em3d": {"n_classes": [2], "seeds": 1},
        "subspace": {"n_classes": [2], "seeds": 3, "keep": 2},
        "som": {"map": [2, 3], "seeds": 1},
        "external": [{"name": "other", "path": "run_data.star"}],
    }
    assert list(map(str, all_runs(complete(tiny_config(runs=runs))))) == [
        "em3d-K02-s000",
        "som-2x3-s000",
        "sub-K02-s000",
        "sub-K02-s001",
        "ext-other",
    ]


def test_what_is_not_asked_for_is_not_judged():
    folder = CampaignFolder.of("tiny")
    silent = {"n_classes": [2], "seeds": 1, "evidence_seeds": 0}
    config = complete(tiny_config(runs={"em3d": silent}))
    judged = {m.name: m.evidence(config, folder.method(m.name)) for m in METHODS.values()}
    assert set(judged.values()) == {None}


@pytest.mark.parametrize(
    ("symmetry", "judge", "silent"),
    [("C1", "subspace", "em3d"), ("D2", "em3d", "subspace")],
)
def test_em3d_is_judged_in_the_basis_where_there_is_no_symmetry(
    symmetry: str, judge: str, silent: str
):
    folder, config = (
        CampaignFolder.of("tiny"),
        complete(tiny_config(symmetry=symmetry, runs={"em3d": {"n_classes": [2], "seeds": 1}})),
    )
    found = {name: METHODS[name].evidence(config, folder.method(name)) for name in METHODS}
    assert found[judge] == Path(f"results/tiny/runs/{judge}/evidence.json")
    assert found[silent] is None


def test_components_from_elsewhere_belong_to_a_start_that_uses_them():
    em3d = {"n_classes": [2], "seeds": 1, "initial_components": ["a.mrc", "b.cs"]}
    for initial, allowed in (("variability", True), ("components", True), ("pca", False)):
        runs = {"em3d": em3d | {"initial": initial}}
        if allowed:
            config = complete(tiny_config(runs=runs))
            assert [path for _, path in METHODS["em3d"].starts(config)] == ["a.mrc", "b.cs"]
        else:
            with pytest.raises(ValueError, match="initial_components: found initial: pca"):
                complete(tiny_config(runs=runs))


def test_more_initial_maps_than_classes_are_right_and_fewer_are_not():
    maps = {"initial": "input", "initial_maps": ["a.mrc", "b.mrc", "c.mrc"]}
    config = complete(tiny_config(runs={"em3d": {"n_classes": [2, 3, 4], "seeds": 1} | maps}))
    (error,) = METHODS["em3d"].check(config, 300)
    assert "3 maps for 4 classes" in str(error)
