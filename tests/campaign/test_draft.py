"""Configurations of stand-alone jobs from what a command was given."""

from pathlib import Path

import pytest

from emjax.campaign.draft import draft_som, write_draft
from emjax.campaign.settings import complete
from emjax.errors import InputError


def test_a_map_has_what_was_given_and_no_more():
    config = draft_som(Path("Class2D/job010"), None, {"map": [5, 4], "seeds": None})
    assert config == {
        "job": "som",
        "campaign": "job010-som",
        "particles": "Class2D/job010",
        "runs": {"som": {"map": [5, 4], "seeds": 3}},
    }
    assert complete(config)["runs"]["som"]["ctf"] == "phase_flip"


def test_a_stack_said_to_be_aligned_has_no_ctf():
    given = {"aligned": True, "filter_resolution": 10.0}
    config = draft_som(Path("aligned.mrcs"), "map", given)
    assert config["filter_resolution"] == 10
    assert config["runs"]["som"] == {"aligned": True, "ctf": "none", "seeds": 3}
    unsaid = draft_som(Path("aligned.mrcs"), "map", {"aligned": None})
    assert "ctf" not in unsaid["runs"]["som"]


def test_other_options_under_the_same_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_draft(draft_som(Path("a.star"), "map", {}))
    text = path.read_text()
    assert "    seeds: 3\n" in text and "em3d" not in text and "    #layout: rect\n" in text
    assert write_draft(draft_som(Path("a.star"), "map", {})) == path
    with pytest.raises(InputError, match="other options"):
        write_draft(draft_som(Path("a.star"), "map", {"seeds": 4}))
    assert path.read_text() == text
