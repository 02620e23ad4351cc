"""Lists that are no particles: written as RELION does, read by starfile, wrong ones refused."""

import re

import numpy as np
import pytest
import starfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emjax.errors import InputError
from emjax.io.star.lists import numbers, read_lists, write_lists

MODEL = """# version 30001

data_model_general

_rlnReferenceDimensionality                 3
_rlnNrClasses                               2


# version 30001

data_model_classes

loop_
_rlnReferenceImage #1
_rlnClassDistribution #2
run_class001.mrc     0.250000
run_class002.mrc     0.750000
"""


def text(path, content):
    path.write_text(content)
    return path


def test_pairs_and_loops_are_tables(tmp_path):
    found = read_lists(text(tmp_path / "model.star", MODEL))
    assert list(found) == ["model_general", "model_classes"]
    assert found["model_general"].to_dict("records") == [
        {"rlnReferenceDimensionality": 3, "rlnNrClasses": 2}
    ]
    assert found["model_classes"]["rlnReferenceImage"].tolist() == [
        "run_class001.mrc",
        "run_class002.mrc",
    ]
    assert numbers(found["model_classes"], "rlnClassDistribution", "x").tolist() == [0.25, 0.75]


def test_what_is_written_is_read_again_by_starfile_itself(tmp_path):
    values = np.array([1 / 3, 1e-12, 2e9])
    blocks = {
        "general": {"rlnNrClasses": 3, "rlnPixelSize": 1.25, "rlnOutputRootName": "a b/run"},
        "classes": {"rlnReferenceImage": ["a b.mrc", "2", "it's"], "rlnClassDistribution": values},
        "": {"rlnClassNumber": np.array([1])},
    }
    write_lists(tmp_path / "a.star", blocks)
    theirs = starfile.read(
        tmp_path / "a.star", always_dict=True, parse_as_string=["rlnReferenceImage"]
    )
    assert theirs["general"] == blocks["general"]
    assert theirs["classes"]["rlnClassDistribution"].tolist() == values.tolist()
    assert theirs["classes"]["rlnReferenceImage"].tolist()[:2] == ["a b.mrc", "2"]
    assert theirs[""]["rlnClassNumber"].tolist() == [1]


def test_the_same_content_is_the_same_bytes_without_a_date(tmp_path):
    write_lists(tmp_path / "a.star", {"x": {"rlnClassNumber": [1, 2]}})
    expected = "\n# version 30001\n\ndata_x\n\nloop_\n_rlnClassNumber #1\n1\n2\n\n"
    assert (tmp_path / "a.star").read_text() == expected


def test_names_that_look_like_numbers_or_nothing_stay_names(tmp_path):
    names = ["001", "NA", "1e5", "null"]
    write_lists(tmp_path / "a.star", {"": {"rlnReferenceImage": names}})
    assert read_lists(tmp_path / "a.star")[""]["rlnReferenceImage"].tolist() == names


def test_a_file_that_was_mended_is_read_anew(tmp_path):
    path = text(tmp_path / "a.star", MODEL.replace("0.75", "0.75 1"))
    with pytest.raises(InputError):
        read_lists(path)
    assert len(read_lists(text(path, MODEL))["model_classes"]) == 2


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("", "no data_ block"),
        ("prose\n", "line 1: found prose"),
        (MODEL.replace("     0.750000", ""), "row 2, line 17: found 1 values, expected 2"),
        (MODEL + "x y z\n", "row 3, line 18: found 3 values, expected 2"),
        (MODEL.replace(" 2\n", "\n"), "0 values for _rlnNrClasses"),
        (MODEL.replace("run_class001", "it's"), "row 1, _rlnReferenceImage: found it's.mrc"),
        (
            MODEL.replace("run_class001", "run#1"),
            "row 1, _rlnReferenceImage: found run#1.mrc",
        ),
        (MODEL + "\ndata_empty\n", "starfile"),
    ],
)
def test_malformed_lists_are_one_line(tmp_path, content, pattern):
    with pytest.raises(InputError) as caught:
        read_lists(text(tmp_path / "bad.star", content))
    assert re.search(pattern, str(caught.value)), str(caught.value)
    assert "found" in str(caught.value) and "expected" in str(caught.value)


def test_numbers_must_be_finite(tmp_path):
    path = text(tmp_path / "a.star", MODEL.replace("0.750000", "nan"))
    table = read_lists(path)["model_classes"]
    with pytest.raises(InputError, match="row 2, _rlnClassDistribution: found nan"):
        numbers(table, "rlnClassDistribution", path)


def test_text_that_no_star_value_can_hold_is_refused(tmp_path):
    for value in ("a\nb", 'a"b'):
        with pytest.raises(InputError, match="_rlnReferenceImage"):
            write_lists(tmp_path / "a.star", {"": {"rlnReferenceImage": [value]}})
    assert not list(tmp_path.iterdir())


edits = st.lists(
    st.tuples(
        st.integers(0, len(MODEL)),
        st.integers(0, 8),
        st.sampled_from(["", "\n", " ", "'", '"', "#", "_", "data_", "loop_", "nan", "\0", "é"]),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits)
def test_any_edit_is_read_or_refused(tmp_path, changes):
    content = MODEL
    for at, removed, piece in changes:
        content = content[:at] + piece + content[at + removed :]
    path = text(tmp_path / "fuzz.star", content)
    try:
        found, message = read_lists(path), ""
    except InputError as error:
        found, message = None, str(error)
    assert "\n" not in message and (found is None) == bool(message)
