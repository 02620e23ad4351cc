"""The first box of the page is never greener than its classes."""

from pathlib import Path

import pandas as pd
import pytest

from emjax.io.files import read_json, read_tsv, write_json, write_tsv
from emjax.report.firm import Miss, firmness, shortfalls, uncertain_sentences
from emjax.report.verdict import Verdict, judge
from tests.report.campaigns import make_campaign, read

STABILITY = "consensus/stability.tsv"


@pytest.fixture(name="folder")
def folder_of(tmp_path: Path) -> Path:
    """Four states, six runs."""
    return make_campaign(tmp_path / "x", n_particles=400)


def change(folder: Path, **columns) -> None:
    """Other values of the last class."""
    table = read_tsv(folder / STABILITY)
    for name, value in columns.items():
        table[name] = table[name].astype(object)
        table.loc[table.index[-1], name] = value
    write_tsv(folder / STABILITY, pd.DataFrame(table))


def verdict_of(folder: Path) -> Verdict:
    return judge(read(folder))


def test_classes_that_pass_every_test_are_green(folder: Path):
    assert not any(shortfalls(read(folder)).values())
    verdict = verdict_of(folder)
    assert verdict.mood == "found" and "4 reproducible classes hold" in verdict.headline
    assert "uncertain" not in verdict.headline


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"mean_stability": 0.49},
            "particles move between classes from run to run (stability 0.49, below 0.7)",
        ),
        ({"resampled": 0.4}, "found in only 40 % of the resamplings of runs and particles"),
        ({"distinct": False}, "held-out particles do not distinguish it from class 1"),
        (
            {"distinct": False, "distinct_by": "runs"},
            "joined with class 1 by most runs that had classes to spare",
        ),
        ({"distinct": False, "distinct_by": "nothing"}, "no run had classes to spare"),
        ({"significant": False}, "no larger than unrelated runs would make it"),
    ],
)
def test_one_uncertain_class_is_named_with_its_reason(folder: Path, columns: dict, words: str):
    change(folder, **columns)
    verdict = verdict_of(folder)
    assert verdict.mood == "warn"
    assert (
        verdict.badge == "Found: 3 firm, 1 uncertain" and "3 firm, 1 uncertain." in verdict.headline
    )
    named = [line for line in verdict.found if line.startswith("Class 4 is uncertain: ")]
    assert len(named) == 1 and words in named[0].replace("\u00a0", " ")


def test_classes_that_miss_the_same_are_named_together():
    near, same = Miss("perhaps part of class {}", "2"), Miss("too small", "")
    missed = {1: [near, same], 2: [], 3: [near._replace(own="4"), same], 4: [near]}
    assert firmness(missed) == "1 firm, 3 uncertain"
    assert list(uncertain_sentences(missed)) == [
        "Classes 1, 3 are uncertain: perhaps part of class 2 and 4 in turn; too small.",
        "Class 4 is uncertain: perhaps part of class 2.",
    ]
    assert firmness({1: [near], 2: [near]}) == "none of them firm"


def test_no_advice_to_refine_what_is_not_firm(folder: Path):
    change(folder, distinct=False)
    assert any("Do not interpret class 4 yet" in line for line in verdict_of(folder).advice)
    table = read_tsv(folder / STABILITY)
    write_tsv(folder / STABILITY, table.assign(distinct=False))
    advice = verdict_of(folder).advice
    assert advice[0].startswith("Do not interpret these classes yet") and len(advice) == 1


def test_a_number_that_resampling_changes_is_given_as_a_range(folder: Path):
    path = folder / "consensus/elbows.json"
    record = read_json(path) | {"recommended_low": 3, "recommended_high": 5}
    write_json(path, record | {"chosen_by": "auto"})
    assert ", 3 to 5 classes where runs and particles are resampled" in verdict_of(folder).headline
    write_json(path, record | {"chosen_by": "4"})
    assert "resampled" not in verdict_of(folder).headline


def evidence(folder: Path, **record) -> None:
    known = {"verdict": "x", "classes": {}, "pose_error": None}
    write_json(folder / "runs/subspace/evidence.json", known | record)


def test_held_out_particles_that_ask_for_more_are_heard(folder: Path):
    evidence(folder, discrete_classes=5)
    words = "Held-out particles ask for 5 classes, the runs agree on 4"
    assert any(line.startswith(words) for line in verdict_of(folder).found)


def test_held_out_particles_that_support_fewer_are_a_warning(folder: Path):
    evidence(folder, discrete_classes=3)
    assert verdict_of(folder).mood == "warn"


@pytest.mark.parametrize(
    ("fraction", "badge", "words"),
    [
        (0.013, "Nothing found", "differ by less than about 1 % of the particle's mass"),
        (0.25, "Too few to tell", "less than about 25 % of the particle's mass"),
        (None, "Nothing found", "No held-out particles were asked"),
    ],
)
def test_nothing_found_says_what_could_have_been(
    tmp_path: Path, fraction: float | None, badge: str, words: str
):
    folder = make_campaign(tmp_path / "null", n_particles=200, kind="null")
    if fraction is not None:
        evidence(folder, discrete_classes=1, detectable_fraction=fraction)
    verdict = verdict_of(folder)
    assert verdict.badge == badge
    assert any(words in line for line in verdict.found)


def test_one_class_that_was_asked_for_is_not_nothing_found(folder: Path):
    path = folder / "consensus/elbows.json"
    write_json(path, read_json(path) | {"recommended": 4, "chosen": 1, "chosen_by": "1"})
    write_tsv(folder / STABILITY, read_tsv(folder / STABILITY)[:1])
    verdict = verdict_of(folder)
    assert verdict.mood == "warn" and "as you asked; 4 would be recommended" in verdict.headline
    assert not any("one state" in line for line in (verdict.headline, *verdict.found))
