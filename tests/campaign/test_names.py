"""Names of runs are parsed into what they were built from."""

import pytest

from emjax.campaign.names import RunName


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("em3d-K04-s000", RunName("em3d", 4, 0)),
        ("sub-K12-s103", RunName("sub", 12, 103)),
        ("em3d-K100-s1234", RunName("em3d", 100, 1234)),
        ("som-7x5-s002", RunName.of_map("som", (7, 5), 2)),
        ("ext-relion-K04-s000", RunName.external("relion-K04-s000")),
    ],
)
def test_names_go_both_ways(name: str, run: RunName):
    assert RunName.parse(name) == run
    assert str(run) == name


def test_a_map_has_as_many_classes_as_nodes():
    assert RunName.parse("som-7x5-s002").n_classes == 35


@pytest.mark.parametrize("name", ["", "em3d", "em3d-K04", "subspace", "K04-s000", "em3d-Kx-s0"])
def test_other_folders_are_no_runs(name: str):
    with pytest.raises(ValueError, match="expected one such as em3d-K04-s000"):
        RunName.parse(name)
