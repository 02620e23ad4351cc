"""Malformed label files end in one clear line."""

import numpy as np
import pytest

from emjax.io.labels.read import read_labels
from tests.io.bench import GOOD, Cases, assert_one_clear_line

CASES: Cases = {
    "labels missing": (lambda b: read_labels(b.folder / "a.csv"), "no such file"),
    "labels empty": (lambda b: b.csv(""), "a table with a header line"),
    "labels header only": (lambda b: b.csv("image,class\n"), "found no rows"),
    "labels without key": (lambda b: b.csv("who,class\na,1\n"), "a key column"),
    "labels without class": (lambda b: b.csv("image,what\na,1\n"), "a class column"),
    "labels of words": (lambda b: b.csv("image,class\na,first\n"), "row 1, class: found first"),
    "labels with a gap": (lambda b: b.csv("image,class\na,1\nb,\n"), "row 2, class: found nothing"),
    "labels negative": (lambda b: b.csv("image,class\na,-1\n"), "found -1, expected"),
    "labels fractional": (lambda b: b.csv("image,class\na,1.5\n"), "found 1.5, expected"),
    "labels huge": (lambda b: b.csv("image,class\na,1e300\n"), "found 1e"),
    "labels infinite": (lambda b: b.csv("image,class\na,inf\n"), "row 1, class"),
    "labels ragged": (lambda b: b.csv("image,class\na,1\nb,2,3\n"), "row 2: found 3 values"),
    "labels doubled": (lambda b: b.csv("image,class\na,1\na,2\n"), "particle a: found 2 rows"),
    "labels not UTF-8": (lambda b: b.csv(b"image,class\n\xff,1\n"), "UTF-8"),
    "labels in no column": (lambda b: b.csv("a,b\n1,2\n", class_column="c"), "column"),
    "star labels negative": (
        lambda b: b.text(GOOD.replace("a.mrcs 2", "a.mrcs -2"), read_labels),
        "row 2.*found -2, expected 0 or more",
    ),
    "star without classes": (
        lambda b: b.text(GOOD.replace("rlnClassNumber", "x"), read_labels),
        "class column",
    ),
    "npz is text": (lambda b: b.text("x", read_labels, "a.npz"), "a .npz file of numbers"),
    "npz with objects": (
        lambda b: b.npz(identity=np.array([None, 1], object), labels=[0, 1]),
        "Python objects .pickle.",
    ),
    "npz without labels": (lambda b: b.npz(identity=["a"]), "arrays identity, expected labels"),
    "npz of two lengths": (lambda b: b.npz(identity=["a"], labels=[0, 1]), "found 2 labels"),
    "npz of text labels": (lambda b: b.npz(identity=["a"], labels=["0"]), "whole numbers"),
    "npz below -1": (lambda b: b.npz(identity=["a"], labels=[-2]), "a whole number from -1"),
    "npz posteriors": (
        lambda b: b.npz(identity=["a"], labels=[0], posteriors=np.zeros((2, 2))),
        "posteriors: found shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    assert_one_clear_line(bench, *CASES[name])
