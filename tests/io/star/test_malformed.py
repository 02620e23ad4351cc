"""Malformed STAR text ends in one clear line."""

import os
from collections.abc import Callable

import numpy as np
import pytest

from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import read_star
from tests.io.bench import GOOD, LOOP, Bench, Cases, assert_one_clear_line


def loop_link(b: Bench, name: str, read: Callable):
    os.symlink(name, b.folder / name)
    return read(b.folder / name)


CASES: Cases = {
    "star missing": (lambda b: read_particles(b.folder / "no.star"), "no such file"),
    "star is empty": (lambda b: b.text(""), "no data_ block"),
    "star of white space": (lambda b: b.text(" \n\n\t\n"), "no data_ block"),
    "star of comments": (lambda b: b.text("# a\n"), "no data_ block"),
    "star is prose": (lambda b: b.text("dear all\n"), "line 1: found dear all"),
    "star is binary": (lambda b: b.text(b"data_\nloop_\n_a\n\0\0"), "byte 15: found binary"),
    "star is UTF-16": (lambda b: b.text("data_".encode("utf-16")), "UTF-16"),
    "star not UTF-8": (lambda b: b.text(b"data_\n_a \xff\n"), "line 2: found byte 0xff"),
    "star is a map": (lambda b: b.text(np.zeros(300, "f4").tobytes()), "binary data"),
    "star link to itself": (lambda b: loop_link(b, "a.star", read_star), "symbolic links"),
    "star name with NUL": (lambda b: read_star("a\0.star"), "null byte"),
    "loop without labels": (lambda b: b.text(LOOP + "1 2\n"), "line 3: found 1 2"),
    "loop ends at once": (lambda b: b.text(LOOP), "loop_ without labels"),
    "two loops in a block": (lambda b: b.text(LOOP + "_a\nloop_\n"), "a second loop_"),
    "row too short": (lambda b: b.text(LOOP + "_a\n_b\n1 2\n3\n"), "row 2, line 6: found 1 values"),
    "row too long": (lambda b: b.text(LOOP + "_a\n1 2\n"), "found 2 values, expected 1"),
    "last row cut off": (lambda b: b.text(GOOD[:-3]), "row 2, line 6: found 1 values"),
    "open quotation": (lambda b: b.text(LOOP + "_a\n_b\n'x y\n1 2\n"), "found 'x, expected a c"),
    "column twice": (lambda b: b.text(LOOP + "_a #1\n_a #2\n1 2\n"), "column _a twice"),
    "column without name": (lambda b: b.text(LOOP + "_ #1\n1\n"), "column name after"),
    "label with a value in a loop": (lambda b: b.text(LOOP + "_a 5\n1\n"), "after _a"),
    "pair without value": (lambda b: b.text("data_\n_a\n"), "0 values for _a"),
    "pair with two values": (lambda b: b.text("data_\n_a 1 2\n"), "2 values for _a"),
    "block twice": (lambda b: b.text("data_x\n_a 1\ndata_x\n_a 2\n"), "second block data_x"),
    "no particle table": (lambda b: b.text("data_optics\n_a 1\n", read_particles), "data_optics"),
    "two particle tables": (
        lambda b: b.text(GOOD + "\n" + GOOD.replace("particles", "images"), read_particles),
        "several particle tables",
    ),
    "no particles": (lambda b: b.text(GOOD.split("1@")[0], read_particles), "found no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    assert_one_clear_line(bench, *CASES[name])
