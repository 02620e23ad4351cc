"""STAR text survives reading and writing."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.errors import InputError
from emjax.io.star.tables import (
    StarFile,
    format_star,
    make_table,
    parse_star,
    read_star,
    write_star,
)

FILES = (
    "FinalRefinement-OriginalParticles-PfCRT.star",
    "empiar_10076_7.star",
    "relion31.star",
    "relion31.6opticsgroups.star",
    "relion5.star",
)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_numbers_come_back_to_the_last_bit(numbers):
    text = format_star(StarFile((make_table("x", {"a": np.array(numbers)}),)))
    assert parse_star(text)["x"].numbers("a").tolist() == numbers


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_single_precision_is_written_with_its_own_digits(numbers):
    single = np.array(numbers, np.float32)
    table = parse_star(format_star(StarFile((make_table("x", {"a": single}),))))["x"]
    assert (table.numbers("a").astype(np.float32) == single).all()


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_programs_keep_every_value(interop, tmp_path, name):
    star = read_star(interop / name)
    write_star(tmp_path / name, star)
    again = read_star(tmp_path / name)
    assert [t.name for t in again.tables] == [t.name for t in star.tables]
    for old, new in zip(star.tables, again.tables, strict=True):
        assert (old.labels, old.rows, old.loop) == (new.labels, new.rows, new.loop)
        assert old.comments == new.comments


@pytest.mark.parametrize("name", FILES)
def test_values_are_those_that_starfile_reads(interop, name):
    starfile = pytest.importorskip("starfile")
    theirs = starfile.read(interop / name, always_dict=True)
    ours = read_star(interop / name)
    assert list(theirs) == [table.name for table in ours.tables]
    for table in ours.tables:
        frame = theirs[table.name]
        assert list(frame.columns) == list(table.labels)
        for column in frame.columns:
            if frame[column].dtype.kind in "fi":
                np.testing.assert_array_equal(frame[column], table.numbers(column))
            else:
                assert frame[column].astype(str).tolist() == table.text(column)


def test_untouched_text_is_never_reformatted():
    text = "data_p\nloop_\n_a #1\n_b #2\n 1.50000   'x y'\n\n 1e-03\t\"it's\"\n"
    table = parse_star(text)["p"]
    new = table.with_columns({"c": np.array([1, 2])})
    assert new.rows == ("1.50000   'x y'\t1", '1e-03\t"it\'s"\t2')
    new = new.with_columns({"a": np.array([0.25, 7.0])})
    assert new.rows == ("0.25\t'x y'\t1", '7.0\t"it\'s"\t2')
    assert new.text("b") == ["x y", "it's"]


def test_a_column_of_another_length_is_refused():
    with pytest.raises(InputError, match="2 values"):
        make_table("p", {"a": ["1", "2", "3"]}).with_columns({"b": ["1", "2"]})


@pytest.mark.slow
def test_three_hundred_thousand_rows_take_seconds(tmp_path):
    n = 300_000
    numbers = np.arange(n) / 7
    write_star(tmp_path / "a.star", StarFile((make_table("p", {"a": numbers, "b": numbers}),)))
    start = time.process_time()
    assert read_star(tmp_path / "a.star")["p"].numbers("a")[-1] == numbers[-1]
    assert time.process_time() - start < 10  # about 1 s on one core; slack for a loaded machine
