"""The one line that wrong input becomes."""

import pytest

from emjax.errors import InputError, OptionError


def test_a_line_holds_what_is_known():
    assert (
        str(InputError("a.star", "row 3", 7, "1 or 2")) == "a.star: row 3: found 7, expected 1 or 2"
    )
    assert str(InputError("a.star", found="x")) == "a.star: found x"
    assert str(InputError(expected="one")) == "expected one"


def test_text_is_printable_short_and_on_one_line():
    text = str(InputError("a\nb", None, "x" * 1000))
    assert text.startswith(r"a\nb: found xxx") and len(text) < 350 and "…" in text


@pytest.mark.parametrize(("section", "place"), [("", "mode"), ("runs.som", "runs.som.mode")])
def test_an_option_is_named_where_it_stands(section, place):
    error = OptionError("mode", 1, "ecm")
    assert (error.option, error.found, error.expected) == ("mode", 1, "ecm")
    assert str(error) == "mode: found 1, expected ecm"
    assert str(error.at("my.yaml", section)) == f"my.yaml: {place}: found 1, expected ecm"
