"""Malformed tables of a campaign, and what cannot be written, end in one clear line."""

import numpy as np
import pytest

from emjax.io.files import read_json, read_npy, read_tsv, write_json
from emjax.io.particles.particle_set import write_particles
from tests.io.bench import Bench, Cases, assert_one_clear_line


def wrong_length(b: Bench):
    particles = b.star()
    write_particles(b.folder / "out.star", particles, {"rlnClassNumber": np.ones(3)})


def wrong_length_cs(b: Bench):
    particles = b.cs()
    write_particles(b.folder / "out.cs", particles, {"rlnClassNumber": np.ones(3)})


CASES: Cases = {
    "tsv missing": (lambda b: read_tsv(b.folder / "a.tsv"), "No such file"),
    "tsv empty": (lambda b: b.text("", read_tsv, "a.tsv"), "a tab-separated table"),
    "tsv ragged": (lambda b: b.text("a\n1\t2\t3\n1\n4\t5\t6\t7\n", read_tsv, "a.tsv"), "table"),
    "json cut": (lambda b: b.text('{"a": 1', read_json, "a.json"), "a JSON file"),
    "json deep": (lambda b: b.text("[" * 100_000, read_json, "a.json"), "a JSON file"),
    "npy with objects": (
        lambda b: (np.save(b.folder / "a.npy", np.array([None])), read_npy(b.folder / "a.npy")),
        "Python objects .pickle.",
    ),
    "column of another length": (wrong_length, "_rlnClassNumber: found 3 values, expected 4 rows"),
    "field of another length": (wrong_length_cs, "rlnClassNumber: found 3 values, expected 4 rows"),
    "folder is a file": (
        lambda b: ((b.folder / "f").write_text(""), write_json(b.folder / "f" / "a.json", {})),
        "writing: found",
    ),
    "text with a line end": (
        lambda b: write_particles(b.folder / "a.star", b.star(), {"x": np.array(["a\nb"] * 4)}),
        r"a\\nb, expected text without line ends",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    assert_one_clear_line(bench, *CASES[name])
