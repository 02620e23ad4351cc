"""Malformed stacks and maps end in one clear line."""

import os
from pathlib import Path

import numpy as np
import pytest

from emjax.io.mrc.header import read_header
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume
from tests.io.bench import Bench, Cases, assert_one_clear_line


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def nan_image(b: Bench):
    particles = b.star()
    raw = bytearray((b.folder / "stack.mrcs").read_bytes())
    raw[1024:1028] = np.float32(np.nan).tobytes()
    (b.folder / "stack.mrcs").write_bytes(raw)
    return ImageStacks(particles).read(np.arange(2))


CASES: Cases = {
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
    "stack is a TIFF": (
        lambda b: b.stack(lambda p: p.write_bytes(b"II*\0" + bytes(5000))),
        "found a TIFF file, expected an MRC file",
    ),
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
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    assert_one_clear_line(bench, *CASES[name])
