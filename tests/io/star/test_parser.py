"""STAR text comes apart as it was put together."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.io.star.tables import (
    StarFile,
    format_star,
    make_table,
    parse_star,
    read_star,
    write_star,
)

value = st.text(string.printable.replace("\n", "").replace("\r", ""), max_size=12).filter(
    lambda text: not ("'" in text and '"' in text) and text.isprintable()
)


label = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)


@st.composite
def columns(draw):
    labels = draw(st.lists(label, min_size=1, max_size=5, unique=True))
    n = draw(st.integers(1, 6))
    return {name: draw(st.lists(value, min_size=n, max_size=n)) for name in labels}


@settings(deadline=None)
@given(columns())
def test_any_printable_text_comes_back(table):
    text = format_star(StarFile((make_table("particles", table),)))
    again = parse_star(text)["particles"]
    assert {name: again.text(name) for name in again.labels} == table


def test_line_ends_bom_comments_and_pairs_are_understood(tmp_path):
    path = tmp_path / "a.star"
    path.write_bytes(
        b"\xef\xbb\xbf# made by hand\r\n\r\ndata_general\r\n_x  3 # three\r\n_y 'a b'\r\n"
        b"\r\ndata_\r\nloop_\r\n_z #1\r\n1\r\n# between\r\n2"
    )
    star = read_star(path)
    assert star["general"].text("y") == ["a b"] and star["general"].integers("x").tolist() == [3]
    assert star[""].integers("z").tolist() == [1, 2]
    write_star(path, star)
    assert read_star(path)["general"].text("y") == ["a b"]
    assert b"\r" not in path.read_bytes()
