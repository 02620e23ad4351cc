"""Particles that cannot be end in one clear line; odd names are names."""

import os

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import write_star
from tests.io.bench import Bench, Cases, assert_one_clear_line


def big_star(b: Bench):
    optics = {k: [v[0]] * 2 for k, v in b.files.optics.items()} | {"rlnOpticsGroup": [1, 1]}
    return b.star(optics)


def two_boxes(b: Bench):
    optics = {k: [v[0]] * 2 for k, v in b.files.optics.items()}
    optics |= {"rlnOpticsGroup": [1, 2], "rlnImageSize": [8, 10]}
    b.files.stack(b.folder / "ten.mrcs", box=10)
    names = ["1@stack.mrcs", "2@stack.mrcs", "1@ten.mrcs", "2@ten.mrcs"]
    return b.star(optics, rlnImageName=names, rlnOpticsGroup=[1, 1, 2, 2])


CASES: Cases = {
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
    "box of another stack": (lambda b: b.optics(rlnImageSize=[10]), "box size 10, expected 8 as"),
    "box not whole": (lambda b: b.optics(rlnImageSize=[8.5]), "8.5.*whole number"),
    "box huge": (lambda b: b.optics(rlnImageSize=["1e300"]), "1e300.*whole number"),
    "two boxes": (two_boxes, "group 1: 8 px of 3 Å; group 2: 10 px of 3 Å"),
    "subtomograms": (lambda b: b.optics(rlnImageDimensionality=[3]), "found 3, expected 2"),
    "CTF flag 2": (lambda b: b.optics(rlnCtfDataAreCtfPremultiplied=[2]), "found 2, expected 0 or"),
    "CTF flag nan": (lambda b: b.star(rlnCtfDataArePhaseFlipped=["nan"] * 4), "row 1.*finite"),
    "flipped and multiplied": (
        lambda b: b.optics(rlnCtfDataAreCtfPremultiplied=[1], rlnCtfDataArePhaseFlipped=[1]),
        "_rlnCtfDataAreCtfPremultiplied: found 1 as well as _rlnCtfDataArePhaseFlipped",
    ),
    "option of another name": (
        lambda b: read_particles(b.star_set(), ctf_in_images="flipped"),
        "ctf_in_images: found flipped, expected one of auto, none, phase_flipped, premultiplied",
    ),
    "Zernike word": (lambda b: b.optics(rlnOddZernike=["[0,x]"]), r"OddZernike: found \[0,x\]"),
    "Zernike NaN": (lambda b: b.optics(rlnEvenZernike=["[0,nan]"]), "EvenZernike.*up to 42 num"),
    "Zernike endless": (lambda b: b.optics(rlnOddZernike=["[" + "0," * 99 + "0]"]), "up to 42"),
    "Zernike huge": (lambda b: b.optics(rlnEvenZernike=["[1e300]"]), "phases in rad"),
    "Zernike of many turns": (
        lambda b: b.optics(rlnOddZernike=["[0,0,1e7,0,0,0]"]),
        "row 1.*odd_aberration: found .*a few turns",
    ),
    "beam tilt word": (lambda b: b.optics(rlnBeamTiltX=["x"]), "_rlnBeamTiltX: found x"),
    "magnification of zeros": (
        lambda b: b.optics(**{f"rlnMagMat{k}": [0.0] for k in ("00", "01", "10", "11")}),
        "row 1.*magnification matrix: found 0, 0, 0, 0, expected within 0.2 of 1, 0, 0, 1",
    ),
    "CTF scale 0": (lambda b: b.star(rlnCtfScalefactor=[1, 0, 1, 1]), "row 2.*a CTF scale above"),
    "B-factor huge": (lambda b: b.star(rlnCtfBfactor=[0, 0, 1e9, 0]), "row 3.*a B-factor"),
    "flip of 2": (lambda b: b.star(rlnIsFlip=[0, 2, 0, 1]), "row 2.*_rlnIsFlip: found 2, .*0 or"),
    "groups but no column": (
        lambda b: b.star(
            {k: [v[0]] * 2 for k, v in b.files.optics.items()} | {"rlnOpticsGroup": [1, 2]},
            rlnOpticsGroup=None,
        ),
        "no column _rlnOpticsGroup for 2",
    ),
    "tomography": (lambda b: b.star(rlnTomoParticleName=list("abcd")), "single particles"),
    "tomogram in optics": (
        lambda b: b.optics(rlnTomoTiltSeriesPixelSize=[1.0]),
        "data_optics: found _rlnTomoTiltSeriesPixelSize",
    ),
    "3D CTFs": (lambda b: b.star(rlnCtfImage=["a.mrc"] * 4), "_rlnCtfImage .tomography."),
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
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line(bench, name):
    assert_one_clear_line(bench, *CASES[name])


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
