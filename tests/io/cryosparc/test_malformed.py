"""Malformed `.cs` tables and groups end in one clear line."""

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.recfunctions import append_fields, drop_fields

from emjax.io.particles.particle_set import read_particles
from tests.io.bench import Bench, Cases, assert_one_clear_line


def object_cs(b: Bench):
    path = b.folder / "a.cs"
    with path.open("wb") as stream:
        np.save(stream, np.array([("a",)], [("uid", "O")]))
    return read_particles(path)


def passthrough_without_row(b: Bench):
    records = b.files.records()
    (b.folder / "x.csg").write_text("a: {metafile: '>own.cs'}\nb: {metafile: '>passthrough.cs'}")
    np.save(b.folder / "own", drop_fields(records, "blob/path"))
    np.save(b.folder / "passthrough", records[1:])
    for name in ("own", "passthrough"):
        os.rename(b.folder / f"{name}.npy", b.folder / f"{name}.cs")
    return read_particles(b.folder / "x.csg")


def cs_bytes(b: Bench, change: Callable[[bytes], bytes]):
    path = b.cs_set(b.files.records())
    path.write_bytes(change(path.read_bytes()))
    return read_particles(path)


CASES: Cases = {
    "cs missing": (lambda b: read_particles(b.folder / "a.cs"), "no such file"),
    "cs empty": (lambda b: b.text(b"", read_particles, "a.cs"), "a CryoSPARC .cs table"),
    "cs is text": (lambda b: b.text("hello", read_particles, "a.cs"), "a CryoSPARC .cs table"),
    "cs of streams": (lambda b: b.text(b"\x94CSDAT...", read_particles, "a.cs"), "streaming"),
    "cs without rows": (lambda b: cs_bytes(b, lambda _: b""), ".cs table"),
    "cs truncated": (lambda b: cs_bytes(b, lambda raw: raw[:-1]), "truncated"),
    "cs header cut": (lambda b: cs_bytes(b, lambda raw: raw[:90]), "a CryoSPARC .cs table"),
    "cs header of code": (
        lambda b: cs_bytes(b, lambda raw: raw.replace(b"{'descr'", b"{ exit()")),
        "a CryoSPARC .cs table",
    ),
    "cs with objects": (object_cs, r"no pickle"),
    "cs is a plain array": (
        lambda b: (np.save(b.folder / "a.npy", np.zeros((3, 3))),
                   os.rename(b.folder / "a.npy", b.folder / "a.cs"),
                   read_particles(b.folder / "a.cs")),
        "an array float64 of shape",
    ),
    "cs of a wild magnification": (
        lambda b: b.cs_with("ctf/anisomag", [0.0, 0, 0, -1]),
        "row 1, magnification matrix: found 1, 0, 0, 0, expected within 0.2",
    ),
    "cs tilt of one number": (lambda b: b.cs_with("ctf/tilt_A", 1.0), "ctf/tilt_A: .*2 numbers"),
    "cs tetrafoil NaN": (lambda b: b.cs_with("ctf/tetra_A", [0, 0, np.nan, 0]), "finite numbers"),
    "cs trefoil endless": (lambda b: b.cs_with("ctf/trefoil_A", [1e30, 0]), "odd_aberration"),
    "cs scale 0": (lambda b: b.cs_with("ctf/scale", 0.0), "row 1, ctf_scale: found 0"),
    "cs B-factor endless": (lambda b: b.cs_with("ctf/bfactor", 1e20), "ctf_bfactor: found 1e"),
    "cs without uid": (lambda b: b.cs("uid"), "no field uid"),
    "cs uid twice": (lambda b: b.cs(uid=7), "uid 7: found 4 rows"),
    "cs without images": (lambda b: b.cs("blob/path"), "no field blob/path"),
    "cs without pixel size": (lambda b: b.cs("blob/psize_A"), "no field blob/psize_A"),
    "cs without CTF": (
        lambda b: b.cs([n for n in b.files.records().dtype.names if "ctf" in n]),
        "no CTF fields",
    ),
    "cs without defocus": (lambda b: b.cs("ctf/df1_A"), "no field ctf/df1_A"),
    "cs without poses": (
        lambda b: b.cs([n for n in b.files.records().dtype.names if "3D" in n]),
        "no poses",
    ),
    "cs pose NaN": (lambda b: b.cs(alignments3D__pose=np.nan), "row 1, alignments3D/pose"),
    "cs shift infinite": (lambda b: b.cs(alignments3D__shift=np.inf), "alignments3D/shift"),
    "cs pixel size 0": (lambda b: b.cs(blob__psize_A=0), "found 0, expected a pixel size"),
    "cs image negative": (
        lambda b: read_particles(b.cs_set(append_fields(
            drop_fields(b.files.records(), "blob/idx"), "blob/idx", -np.ones(4, int), usemask=False)
        )),
        "row 1, blob/idx: found -1, expected a whole",
    ),
    "cs not square": (lambda b: b.cs(blob__shape=[8, 9]), "square images"),
    "cs box of another stack": (lambda b: b.cs(blob__shape=9), "box size 9, expected 8 as in"),
    "cs image beyond": (lambda b: b.cs(blob__idx=[0, 1, 2, 9]), "row 4: found image 10.*1 to 4"),
    "cs no path": (lambda b: b.cs(blob__path=b""), "row 1, blob/path"),
    "cs path not UTF-8": (lambda b: b.cs(blob__path=b"\xff\xfe"), "UTF-8"),
    "cs stack missing": (lambda b: b.cs(blob__path=b">J1/a.mrc"), "image stack J1/a.mrc"),
    "cs pose of text": (
        lambda b: read_particles(b.cs_set(append_fields(
            drop_fields(b.files.records(), "alignments3D/psize_A"),
            "alignments3D/psize_A", np.full(4, b"x"), usemask=False))),
        "alignments3D/psize_A: found",
    ),
    "cs voltage 0": (lambda b: b.cs(ctf__accel_kv=0), "voltage in kV"),
    "csg without tables": (lambda b: b.text("a: b", read_particles, "a.csg"), "metafile"),
    "csg table missing": (
        lambda b: b.text("x: {metafile: '>no.cs'}", read_particles, "a.csg"),
        "metafile >no.cs: found no such file",
    ),
    "csg uid missing": (passthrough_without_row, "passthrough.cs: uid .*found no row of 1 of 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    assert_one_clear_line(bench, *CASES[name])
