"""The table of the classes on top of the page."""

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.io.files import read_tsv, write_tsv
from emjax.report.class_maps import Change, ClassMaps, Shown
from emjax.report.summary import Summary, _change, summary
from tests.report.campaigns import make_campaign, read, render


def made(folder: Path, shown: Shown | None = None) -> Summary:
    campaign = read(folder)
    found = summary(campaign, shown or ClassMaps(campaign).shown())
    assert found is not None
    return found


def test_one_row_per_class_with_what_is_known(campaign: Path):
    found = made(campaign)
    assert found.head == [
        "Particles",
        "Share (95 % interval)",
        "Resolution (Å)",
        "Stability",
        "Distinct from its nearest",
        "Largest difference (Å³)",
        "Warnings",
    ]
    table = read_tsv(campaign / "consensus/stability.tsv")
    assert list(found.rows) == table["class"].tolist()
    sizes = [cells[0].value for cells in found.rows.values()]
    assert sizes == table["size"].tolist()
    assert found.rows[2][4].text == "yes: class 1, +400 nats"
    assert found.rows[1][-1].text == "none"


def test_columns_that_nothing_is_known_of_are_left_out(campaign: Path):
    assert "Largest difference (Å³)" not in made(campaign, Shown({})).head


def test_one_class_has_no_table(null_campaign: Path):
    assert summary(read(null_campaign), Shown({})) is None
    assert 'class="sortable"' not in render(null_campaign)


def test_warnings_stand_beside_their_class(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=300, kind="jittered")
    path = folder / "consensus/stability.tsv"
    table = read_tsv(path)
    table.loc[1, "mean_stability"] = 0.5
    table["distinct"] = [True, True, False, True]
    write_tsv(path, table)
    warnings = {c: cells[-1].text for c, cells in made(folder, Shown({})).rows.items()}
    assert warnings == {
        1: "viewing direction",
        2: "unstable, viewing direction",
        3: "not distinct, viewing direction",
        4: "viewing direction",
    }


def test_missing_numbers_are_a_dash_and_come_last(tmp_path: Path):
    folder = make_campaign(tmp_path / "x", n_particles=300)
    path = folder / "consensus/stability.tsv"
    table = read_tsv(path)
    table.loc[0, "mean_stability"] = np.nan
    write_tsv(path, table)
    cell = made(folder, Shown({})).rows[1][3]
    assert (cell.text, cell.value) == ("–", None)


def test_differences_are_said_with_their_sign():
    assert _change(Change(-0.5, 26136.0, 0.5, 30.0)).text == "26,000 less"
    assert _change(Change(0.5, 2376.0, 0.5, float("nan"))).text == "2,400 more"
    noise = _change(Change(0.5, 26136.0, 0.5, 3.0))
    assert (noise.text, noise.value) == ("none above the noise", 0.0)


def test_the_table_stands_before_the_tabs(campaign: Path):
    page = render(campaign)
    assert page.index('class="sortable"') < page.index('role="tablist"')
    rows = pd.Series([page.count(f'data-sort="{c}"><a href="#class-{c}"') for c in range(1, 5)])
    assert (rows == 1).all()
