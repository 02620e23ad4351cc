"""Wrong input ends in one clear line: file, place, what was found, what was expected."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from numpy.lib.recfunctions import append_fields, drop_fields

from emjax.errors import InputError
from emjax.io.files import read_json, read_npy, read_tsv, write_json
from emjax.io.labels.read import read_labels
from emjax.io.mrc.header import read_header
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star, write_star

HEADER = mrcfile.dtypes.HEADER_DTYPE
GOOD = "data_particles\nloop_\n_rlnImageName #1\n_rlnClassNumber #2\n1@a.mrcs 1\n2@a.mrcs 2\n"


class Bench:
    """Writes one thing wrong and reads it."""

    def __init__(self, folder: Path, files, star_set, cs_set) -> None:
        self.folder, self.files, self.star_set, self.cs_set = folder, files, star_set, cs_set

    def star(self, optics: object = "good", **columns):
        """A good particle file but for the columns given."""
        optics = self.files.optics if optics == "good" else optics
        return read_particles(self.star_set(optics, **columns))

    def optics(self, **columns):
        """A good particle file but for these columns of its optics table (None: left out)."""
        optics = self.files.optics | columns
        return self.star({k: v for k, v in optics.items() if v is not None})

    def value(self, column: str, row: int, value: str):
        """One value of a good file replaced, as text."""
        values = [str(v) for v in self.files.columns()[column]]
        values[row] = value
        return self.star(**{column: values})

    def text(self, content: str | bytes, read: Callable = read_star, name: str = "bad.star"):
        """A file with this content."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path)

    def cs(self, drop: str = "", **fields):
        """A good `.cs` but for the fields given."""
        records = self.files.records()
        for name, value in fields.items():
            records[name.replace("__", "/")] = value
        return read_particles(self.cs_set(drop_fields(records, drop) if drop else records))

    def stack(self, change: Callable[[Path], object]):
        """A good particle file whose stack is changed afterwards."""
        path = self.star_set()
        change(self.folder / "stack.mrcs")
        return read_particles(path)

    def header(self, order: str = "<", **values):
        """A stack whose header has other values."""

        def change(path: Path) -> None:
            raw = path.read_bytes()
            header = np.frombuffer(raw[:1024], HEADER).copy()
            for name, value in values.items():
                header[name] = value
            path.write_bytes(header.tobytes() + raw[1024:])

        return self.stack(change)

    def volume(self, data: np.ndarray, voxel_size: float = 2.0, box: int | None = None):
        """A map with this content."""
        with mrcfile.new(self.folder / "map.mrc", np.zeros(data.shape, data.dtype)) as mrc:
            mrc.voxel_size = voxel_size
        raw = (self.folder / "map.mrc").read_bytes()[:1024]
        (self.folder / "map.mrc").write_bytes(raw + data.tobytes())
        return read_volume(self.folder / "map.mrc", box)

    def npz(self, **arrays):
        """A label file of these arrays."""
        np.savez(self.folder / "labels.npz", **arrays)
        return read_labels(self.folder / "labels.npz")

    def csv(self, content: str | bytes, **how):
        """A label file of this text."""
        return self.text(content, lambda path: read_labels(path, **how), "labels.csv")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def nan_image(b: Bench):
    particles = b.star()
    raw = bytearray((b.folder / "stack.mrcs").read_bytes())
    raw[1024:1028] = np.float32(np.nan).tobytes()
    (b.folder / "stack.mrcs").write_bytes(raw)
    return ImageStacks(particles).read(np.arange(2))


def loop_link(b: Bench, name: str, read: Callable):
    os.symlink(name, b.folder / name)
    return read(b.folder / name)


def object_cs(b: Bench):
    path = b.folder / "a.cs"
    with path.open("wb") as stream:
        np.save(stream, np.array([("a",)], [("uid", "O")]))
    return read_particles(path)


def big_star(b: Bench):
    optics = {k: [v[0]] * 2 for k, v in b.files.optics.items()} | {"rlnOpticsGroup": [1, 1]}
    return b.star(optics)


def two_boxes(b: Bench):
    optics = {k: [v[0]] * 2 for k, v in b.files.optics.items()}
    optics |= {"rlnOpticsGroup": [1, 2], "rlnImageSize": [8, 10]}
    b.files.stack(b.folder / "ten.mrcs", box=10)
    names = ["1@stack.mrcs", "2@stack.mrcs", "1@ten.mrcs", "2@ten.mrcs"]
    return b.star(optics, rlnImageName=names, rlnOpticsGroup=[1, 1, 2, 2])


def passthrough_without_row(b: Bench):
    records = b.files.records()
    (b.folder / "x.csg").write_text("a: {metafile: '>own.cs'}\nb: {metafile: '>passthrough.cs'}")
    np.save(b.folder / "own", drop_fields(records, "blob/path"))
    np.save(b.folder / "passthrough", records[1:])
    for name in ("own", "passthrough"):
        os.rename(b.folder / f"{name}.npy", b.folder / f"{name}.cs")
    return read_particles(b.folder / "x.csg")


def wrong_length(b: Bench):
    particles = b.star()
    write_particles(b.folder / "out.star", particles, {"rlnClassNumber": np.ones(3)})


def wrong_length_cs(b: Bench):
    particles = b.cs()
    write_particles(b.folder / "out.cs", particles, {"rlnClassNumber": np.ones(3)})


def cs_bytes(b: Bench, change: Callable[[bytes], bytes]):
    path = b.cs_set(b.files.records())
    path.write_bytes(change(path.read_bytes()))
    return read_particles(path)


LOOP = "data_\nloop_\n"
CASES: dict[str, tuple[Callable[[Bench], object], str]] = {
    # STAR as text
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
    # particles of RELION
    "NaN in an angle": (lambda b: b.value("rlnAngleRot", 2, "nan"), r"row 3.*_rlnAngleRot.*nan"),
    "shift of a metre": (lambda b: b.value("rlnOriginXAngst", 0, "1e10"), "row 1.*inside the im"),
    "infinite shift": (lambda b: b.value("rlnOriginXAngst", 0, "-inf"), "row 1.*found -inf"),
    "word for a number": (lambda b: b.value("rlnAngleTilt", 1, "abc"), "found abc"),
    "underscored number": (lambda b: b.value("rlnAnglePsi", 1, "1_0"), "found 1_0"),
    "empty angle": (lambda b: b.value("rlnAnglePsi", 1, ""), 'found "", expected a finite'),
    "no angles": (lambda b: b.star(rlnAngleRot=None, rlnAnglePsi=None), "_rlnAngleRot, _rlnAngleP"),
    "no defocus": (lambda b: b.star(rlnDefocusU=None), r"no CTF columns \(_rlnDefocusU\)"),
    "no voltage": (lambda b: b.optics(rlnVoltage=None), "no CTF column _rlnVoltage"),
    "no aberration": (lambda b: b.optics(rlnSphericalAberration=None), "_rlnSphericalAberration"),
    "no pixel size": (lambda b: b.optics(rlnImagePixelSize=None), "_rlnImagePixelSize"),
    "pixel size 0": (lambda b: b.optics(rlnImagePixelSize=[0.0]), "found 0, .*above 0"),
    "pixel size negative": (lambda b: b.optics(rlnImagePixelSize=[-1.0]), "above 0"),
    "pixel size NaN": (lambda b: b.optics(rlnImagePixelSize=[np.nan]), "found nan"),
    "pixel size of another stack": (
        lambda b: b.optics(rlnImagePixelSize=[6.0]),
        "pixel size 6 Å, expected 3 Å as in",
    ),
    "box of another stack": (lambda b: b.optics(rlnImageSize=[10]), "box size 10, expected 8 as"),
    "box not whole": (lambda b: b.optics(rlnImageSize=[8.5]), "8.5.*whole number"),
    "box huge": (lambda b: b.optics(rlnImageSize=["1e300"]), "1e300.*whole number"),
    "two boxes": (two_boxes, "group 1: 8 px of 3 Å; group 2: 10 px of 3 Å"),
    "subtomograms": (lambda b: b.optics(rlnImageDimensionality=[3]), "found 3, expected 2"),
    "images times CTF": (lambda b: b.optics(rlnCtfDataAreCtfPremultiplied=[1]), "Premultiplied"),
    "groups but no column": (
        lambda b: b.star(
            {k: [v[0]] * 2 for k, v in b.files.optics.items()} | {"rlnOpticsGroup": [1, 2]},
            rlnOpticsGroup=None,
        ),
        "no column _rlnOpticsGroup for 2",
    ),
    "tomography": (lambda b: b.star(rlnTomoParticleName=list("abcd")), "single particles"),
    "no flat pixel size": (lambda b: b.star(None, rlnOpticsGroup=None), "found no pixel size"),
    "voltage of 300000": (lambda b: b.optics(rlnVoltage=[300000.0]), "voltage in kV"),
    "voltage of 1 kV": (lambda b: b.optics(rlnVoltage=[1.0]), "voltage: found 1"),
    "voltage 0": (lambda b: b.optics(rlnVoltage=[0.0]), "voltage: found 0"),
    "contrast of 10": (lambda b: b.optics(rlnAmplitudeContrast=[10.0]), "contrast from 0 to 1"),
    "defocus angle huge": (lambda b: b.value("rlnDefocusAngle", 3, "1e300"), "row 4.*an angle"),
    "defocus huge": (lambda b: b.value("rlnDefocusU", 3, "1e30"), "row 4.*defocus in Å"),
    "optics group unknown": (lambda b: b.star(rlnOpticsGroup=[1, 1, 7, 1]), "row 3.*found 7"),
    "optics group twice": (big_star, "a group twice"),
    "half 3": (lambda b: b.star(rlnRandomSubset=[1, 2, 3, 1]), "row 3.*found 3, expected 1 or 2"),
    "particle twice": (
        lambda b: b.star(**{k: [v[0]] * 4 for k, v in b.files.columns().items()}),
        "row 2.*000001@stack.mrcs again, as in row 1",
    ),
    "image 0": (lambda b: b.value("rlnImageName", 1, "0@stack.mrcs"), "number from 1"),
    "image -1": (lambda b: b.value("rlnImageName", 1, "-1@stack.mrcs"), "number from 1"),
    "image x": (lambda b: b.value("rlnImageName", 1, "x@stack.mrcs"), "number from 1"),
    "image without stack": (lambda b: b.value("rlnImageName", 1, "2@"), "found 2@"),
    "image beyond": (lambda b: b.value("rlnImageName", 2, "5@stack.mrcs"), "image 5.*1 to 4"),
    "image far beyond": (
        lambda b: b.value("rlnImageName", 2, "999999999999999@stack.mrcs"),
        "expected 1 to 4",
    ),
    "image number endless": (
        lambda b: b.value("rlnImageName", 2, "9" * 400 + "@stack.mrcs"),
        "number from 1",
    ),
    "uid not a number": (
        lambda b: write_particles(b.folder / "a.cs", b.star(emjaxUid=["1", "2", "x", "4"])),
        "row 3.*found x, expected an integer",
    ),
    "job folder without data": (lambda b: read_particles(b.folder), "run_data.star"),
    # stacks
    "stack missing": (lambda b: b.stack(os.remove), "image stack stack.mrcs: found no such file"),
    "stack is a folder": (
        lambda b: b.stack(lambda p: (p.unlink(), p.mkdir())),
        "found no such file",
    ),
    "stack link to itself": (
        lambda b: b.stack(lambda p: (p.unlink(), p.symlink_to(p.name))),
        "found no such file",
    ),
    "stack name with shell text": (
        lambda b: b.value("rlnImageName", 0, "1@$(touch x)`;'.mrcs"),
        r"image stack \$\(touch",
    ),
    "stack name with ..": (
        lambda b: b.value("rlnImageName", 0, "1@../../../../none.mrcs"),
        "no such file",
    ),
    "stack empty": (lambda b: b.stack(lambda p: os.truncate(p, 0)), "file of 0 bytes"),
    "stack cut in the header": (lambda b: b.stack(lambda p: os.truncate(p, 100)), "of 100 bytes"),
    "stack truncated": (lambda b: b.stack(truncated), r"2047 bytes \(truncated\), expected 2048"),
    "stack is text": (lambda b: b.stack(lambda p: p.write_text("x" * 5000)), "MRC header"),
    "stack of zeros": (lambda b: b.stack(lambda p: p.write_bytes(bytes(5000))), "nx, ny, nz = "),
    "stack mode 3": (lambda b: b.header(mode=3), "mode 3, expected mode 0, 1, 2, 6 or 12"),
    "stack mode 101": (lambda b: b.header(mode=101), "mode 101"),
    "stack mode -1": (lambda b: b.header(mode=-1), "MRC header"),
    "stack not square": (lambda b: b.header(ny=4), "8 x 4 pixels, expected square"),
    "stack nx negative": (lambda b: b.header(nx=-8), "MRC header"),
    "stack nz 0": (lambda b: b.header(nz=0), "MRC header"),
    "stack claims too much": (lambda b: b.header(nz=2**30), "truncated"),
    "stack header beyond": (lambda b: b.header(nsymbt=2**30), "truncated"),
    "stack header negative": (lambda b: b.header(nsymbt=-512), "nsymbt: found -512"),
    "stack axes permuted": (lambda b: b.header(mapc=3, maps=1), "axes"),
    "stack wrong byte order": (
        lambda b: b.stack(lambda p: p.write_bytes(
            np.frombuffer(p.read_bytes()[:1024], "<u4").byteswap().tobytes()[:16]
            + p.read_bytes()[16:1024] + bytes(9)
        )),
        "truncated|MRC header",
    ),
    "image of NaN": (nan_image, "stack.mrcs: image 1: found NaN or infinite pixels"),
    # .cs
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
    "csg uid missing": (passthrough_without_row, "passthrough.cs: uid .*found no such row"),
    # maps and masks
    "map missing": (lambda b: read_volume(b.folder / "a.mrc"), "no such file"),
    "map of another box": (lambda b: b.volume(np.ones((4, 4, 4), "f4"), box=8), "box of 4 voxels"),
    "map not cubic": (lambda b: b.volume(np.ones((4, 4, 6), "f4")), "6 x 4 x 4 voxels.*cubic"),
    "map with NaN": (lambda b: b.volume(np.full((4, 4, 4), np.nan, "f4")), "voxel z, y, x = .0, 0"),
    "map without voxel size": (lambda b: b.volume(np.ones((4, 4, 4), "f4"), 0.0), "no voxel size"),
    "map truncated": (
        lambda b: (b.volume(np.ones((4, 4, 4), "f4")), truncated(b.folder / "map.mrc"),
                   read_header(b.folder / "map.mrc")),
        "truncated",
    ),
    # labels
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
    # tables and JSON of a campaign
    "tsv missing": (lambda b: read_tsv(b.folder / "a.tsv"), "No such file"),
    "tsv empty": (lambda b: b.text("", read_tsv, "a.tsv"), "a tab-separated table"),
    "tsv ragged": (lambda b: b.text("a\n1\t2\t3\n1\n4\t5\t6\t7\n", read_tsv, "a.tsv"), "table"),
    "json cut": (lambda b: b.text('{"a": 1', read_json, "a.json"), "a JSON file"),
    "json deep": (lambda b: b.text("[" * 100_000, read_json, "a.json"), "a JSON file"),
    "npy with objects": (
        lambda b: (np.save(b.folder / "a.npy", np.array([None])), read_npy(b.folder / "a.npy")),
        "Python objects .pickle.",
    ),
    # writing
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


@pytest.fixture
def bench(tmp_path, files, star_set, cs_set, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, files, star_set, cs_set)


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    act, pattern = CASES[name]
    with pytest.raises(InputError) as caught:
        act(bench)
    message = str(caught.value)
    assert re.search(pattern, message), message
    assert "\n" not in message and len(message) < 700
    assert "found" in message and "expected" in message
    leftovers = [path.name for path in bench.folder.iterdir() if ".part" in path.name]
    assert not leftovers and not (bench.folder / "x").exists()


def test_the_table_is_long_enough():
    assert len(CASES) >= 80


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files(bench):
    path = bench.star_set()
    path.chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        read_particles(path)


@pytest.mark.parametrize("name", ["a b.mrcs", "it's.mrcs", "$(x).mrcs", "ü 粒.mrcs", "#1.mrcs"])
def test_odd_names_are_names(bench, name):
    path = bench.star_set()
    os.rename(bench.folder / "stack.mrcs", bench.folder / name)
    names = [f"{i + 1}@{name}" for i in range(4)]
    columns = bench.files.columns() | {"rlnImageName": names, "rlnMicrographName": [name] * 4}
    write_star(path, bench.files.star(columns))
    particles = read_particles(path)
    assert particles.stack_paths == (bench.folder / name,)
    for suffix in (".star", ".cs"):
        write_particles(bench.folder / f"out{suffix}", particles)
        assert read_particles(bench.folder / f"out{suffix}").stack_paths == particles.stack_paths
