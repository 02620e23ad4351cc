"""Wrong input ends in one clear line before anything is computed."""

import gzip
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.settings import complete
from emjax.io.files import write_json
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star
from tests.campaigns import ROOT, Place, tiny_config

STAR, STACK = Path("data/particles.star"), Path("data/particles.mrcs")


def replace_text(old: str, new: str, count: int = 1) -> Callable[[], None]:
    """An edit of the particle file."""

    def edit() -> None:
        text = STAR.read_text()
        assert old in text
        STAR.write_text(text.replace(old, new, count))

    return edit


def set_value(column: str, row: int, value: str) -> Callable[[], None]:
    """Another value in one row of the particle table."""

    def edit() -> None:
        lines = STAR.read_text().splitlines()
        number = next(int(x.split("#")[1]) for x in lines if x.startswith(f"_{column} "))
        rows = [i for i, line in enumerate(lines) if "@" in line]
        fields = lines[rows[row]].split("\t")
        fields[number - 1] = value
        lines[rows[row]] = "\t".join(fields)
        STAR.write_text("\n".join(lines) + "\n")

    return edit


def keep_rows(count: int) -> None:
    """The first particles only."""
    lines = STAR.read_text().splitlines()
    rows = [i for i, line in enumerate(lines) if "@" in line]
    STAR.write_text("\n".join(x for i, x in enumerate(lines) if i not in rows[count:]) + "\n")


def scale_defocus() -> None:
    """Defocus in µm, as some programs write it."""
    table = read_star(STAR)["particles"]
    particles = read_particles(STAR)
    new = {name: table.numbers(name) / 1e4 for name in ("rlnDefocusU", "rlnDefocusV")}
    write_particles(STAR, particles, new)


def truncate_stack() -> None:
    """A stack cut in its last images."""
    STACK.write_bytes(STACK.read_bytes()[:-100_000])


def write_mask(box: int, value: float = 1.0, rest: float = 1.0) -> Callable[[], None]:
    """A mask of another box, or with values of its own."""

    def make() -> None:
        with mrcfile.new("mask.mrc", np.full((box,) * 3, rest, np.float32)) as mrc:
            mrc.voxel_size = 6.0
            mrc.data[1, 2, 3] = value

    return make


def ball_mask(
    voxel_size: float = 6.0, radius: float = 16, inverted: bool = False
) -> Callable[[], None]:
    """A ball as mask."""

    def make() -> None:
        axis = np.arange(48) - 24
        distance = np.sqrt(axis**2 + axis[:, None] ** 2 + axis[:, None, None] ** 2)
        with mrcfile.new("mask.mrc", ((distance < radius) != inverted).astype(np.float32)) as mrc:
            mrc.voxel_size = voxel_size

    return make


def pose(rows: slice = slice(None), **angles: float | np.ndarray) -> Callable[[], None]:
    """Other angles for some particles."""

    def edit() -> None:
        particles = read_particles(STAR)
        table = read_star(STAR)["particles"]
        new = {name: table.numbers(f"rlnAngle{name}") for name in angles}
        for name, values in angles.items():
            new[name][rows] = values
        columns = {f"rlnAngle{name}": values for name, values in new.items()}
        write_particles(STAR, particles, columns)

    return edit


def expand() -> None:
    """Every particle twice, half a turn apart, and labels by image name that do not say which."""
    lines = STAR.read_text().splitlines()
    place = next(int(x.split("#")[1]) for x in lines if x.startswith("_rlnAngleRot ")) - 1
    new = []
    for line in lines:
        new.append(line)
        if "@" in line:
            fields = line.split("\t")
            fields[place] = str(float(fields[place]) + 180)
            new.append("\t".join(fields))
    STAR.write_text("\n".join(new) + "\n")
    table = read_star(STAR)["particles"]
    names = [f"{name},1" for name in table.text("rlnImageName")[::2]]
    Path("labels.csv").write_text("\n".join(["image,class", *names]) + "\n")


def compress(path: Path) -> Callable[[], None]:
    """A file as archives hold it."""
    return lambda: path.write_bytes(gzip.compress(path.read_bytes())) and None


def nothing() -> None:
    """The particles as they are."""


SOLVENT = {"masks": {"solvent": "mask.mrc"}}
FOCUS = {"masks": {"focus": "mask.mrc"}}


def em3d(**options) -> dict:
    """Changes of the em3d options."""
    return {"runs": {"em3d": {"n_classes": [2], "seeds": 1} | options}}


WRONG = [
    (lambda: STAR.unlink(), {}, "particles.star", "not there (from /"),
    (lambda: STACK.unlink(), {}, "particles.star", "no such file"),
    (nothing, {"image_root": "elsewhere"}, "particles.star", "set image_root"),
    (replace_text("000003@", "000301@"), {}, "particles.star", "image 301"),
    (replace_text("000003@", "000000@"), {}, "particles.star", "expected"),
    (truncate_stack, {}, "particles.mrcs", "expected"),
    (lambda: STACK.write_bytes(b"no stack"), {}, "particles.mrcs", "expected"),
    (replace_text("\t48\t", "\t64\t"), {}, "particles.star", "box size 64, expected 48"),
    (set_value("rlnAngleTilt", 4, "nan"), {}, "particles.star", "_rlnAngleTilt"),
    (set_value("rlnAngleRot", 0, "north"), {}, "particles.star", "_rlnAngleRot"),
    (set_value("rlnDefocusU", 2, "-inf"), {}, "particles.star", "_rlnDefocusU"),
    (replace_text("_rlnDefocusU", "_unknown"), {}, "particles.star", "DefocusU"),
    (replace_text("_rlnVoltage", "_unknown"), {}, "particles.star", "oltage"),
    (replace_text("_rlnAnglePsi", "_unknown"), {}, "particles.star", "AnglePsi"),
    (lambda: keep_rows(0), {}, "particles.star", "no rows"),
    (lambda: STAR.write_text(""), {}, "particles.star", "found"),
    (lambda: STAR.write_bytes(b"\xff\xfe\x00data"), {}, "particles.star", "expected"),
    (nothing, em3d(n_classes=[301]), "runs.em3d.n_classes", "301, expected at most 300"),
    (nothing, em3d(initial="input", initial_maps=["a.mrc", "b.mrc"]), "initial_maps", "a.mrc"),
    (ball_mask(), em3d(initial="input", initial_maps=["mask.mrc"]), "initial_maps", "1 maps"),
    (nothing, SOLVENT, "masks.solvent", "mask.mrc"),
    (write_mask(32), SOLVENT, "mask.mrc", "box of 32 voxels, expected a box of 48"),
    (write_mask(32), FOCUS, "mask.mrc", "box of 32 voxels, expected a box of 48"),
    (
        ball_mask(),
        em3d(initial="input", initial_maps=["mask.mrc", "mask.mrc"]),
        "initial_maps",
        "identical maps",
    ),
    (
        write_mask(48),
        em3d(initial="input", initial_maps=["mask.mrc", "mask.mrc"]),
        "mask.mrc",
        "one density everywhere, expected a map of the particle",
    ),
    (write_mask(48, 0, 0), FOCUS, "mask.mrc", "no voxel above 0.5"),
    (write_mask(48, -0.5), FOCUS, "mask.mrc", "values from -0.5 to 1, expected a mask from 0 to 1"),
    (write_mask(48, 255, 0), SOLVENT, "mask.mrc", "values from 0 to 255, expected a mask"),
    (lambda: keep_rows(19), {}, "particles.star", "19 particles, expected at least 20"),
    (scale_defocus, {}, "particles.star", "defocus: found at most"),
    (write_mask(48, np.nan), FOCUS, "mask.mrc", "nan"),
    (lambda: Path("mask.mrc").write_text("x"), FOCUS, "mask.mrc", "expected"),
    (nothing, {"scale": "input"}, "particles.star", "scale: input: found no scales of the images"),
    (
        replace_text("_rlnImageSize", "_rlnTomoSubtomogramBinning"),
        {},
        "particles.star",
        "found _rlnTomoSubtomogramBinning (tomography), expected single particles",
    ),
    (
        replace_text("_rlnImageDimensionality", "_rlnCtfDataAreCtfPremultiplied"),
        {},
        "particles.star",
        "_rlnCtfDataAreCtfPremultiplied: found 2, expected 0 or 1",
    ),
    (nothing, {"filter_resolution": 5}, "filter_resolution", "beyond Nyquist"),
    (nothing, {"filter_resolution": 200}, "filter_resolution", "expected at most"),
    (nothing, em3d(start_resolution=500), "start_resolution", "found 500 Å, expected coarser"),
    (nothing, em3d(highpass_resolution=3), "highpass_resolution", "found 3 Å, expected coarser"),
    (
        nothing,
        {"runs": {"external": [{"name": "a", "path": "no.star"}]}},
        "a",
        "no.star, which is not there",
    ),
    (nothing, {"runs": {"external": [{"name": "a", "path": str(STAR)}]}}, "star", "class"),
    # Input that deceives.
    (
        pose(Rot=0, Tilt=0),
        {},
        "particles.star: poses",
        "from one direction (300 at rot 0°, tilt 0°)",
    ),
    (pose(Rot=0, Tilt=np.arange(300) % 2 * 60), {}, "particles.star: poses", "from 2 directions"),
    (ball_mask(inverted=True), SOLVENT, "mask.mrc: mean", "if the mask is inverted, give 1 − mask"),
    (nothing, {"particles": str(STACK)}, "particles.mrcs", "images without poses or CTF, expected"),
    (compress(STAR), {}, "particles.star", "a file compressed with gzip, expected the file itself"),
    (compress(STACK), {}, "particles.mrcs", "a file compressed with gzip, expected the file itsel"),
    (
        expand,
        {"runs": {"external": [{"name": "a", "path": "labels.csv"}]}},
        "labels.csv",
        "no poses, and more than one particle of an image (symmetry expansion), expected the angle",
    ),
]


def check(changes: dict) -> None:
    """Run the rule's script here."""
    job = SimpleNamespace(
        rule="check_input",
        log=["logs/tiny/check_input.log"],
        config=complete(tiny_config(**changes)),
        output=["results/tiny/prepare/prepare.json"],
        params=SimpleNamespace(emjax="0"),
    )
    runpy.run_path(str(ROOT / "workflow" / "scripts" / "check_input.py"), {"snakemake": job})


def old_record() -> None:
    """The record of a campaign of the particles as they were."""
    write_json("results/tiny/campaign.json", {"input_checksum": "0f" * 32})


BOTH = {"em3d": {"n_classes": [2], "seeds": 1}, "som": {"map": [2, 2], "seeds": 1}}
DOUBTED = [
    (nothing, {}, ""),
    (ball_mask(), SOLVENT, ""),
    (ball_mask(3.0), SOLVENT, "mask.mrc: voxels of 3 Å by its header, particles of 6 Å"),
    (ball_mask(1.0), SOLVENT, "mask.mrc: voxels of 1 Å by its header, as programs write that do"),
    (ball_mask(radius=27), SOLVENT, "of the box's faces are inside the mask"),
    (write_mask(48), SOLVENT, "mask.mrc: above 0.5 in the whole box; it masks nothing"),
    (replace_text("\t6.0\t", "\t3.0\t"), {}, "pixel size 3 Å, but 6 Å in the header of"),
    (pose(slice(0, 30), Rot=0, Tilt=0, Psi=0), {}, "all angles of 30 of 300 particles are 0; were"),
    (
        pose(slice(0, 30), Rot=10, Tilt=20, Psi=30),
        {},
        "30 of 300 particles have the same rot, tilt",
    ),
    (pose(Rot=np.arange(300) % 60 * 6, Tilt=90), {}, "are seen from 29 directions only"),
    (pose(Tilt=np.arange(300) % 21), {}, "no particle's view reaches 59% of Fourier space at 24 Å"),
    (replace_text("_rlnOriginX", "_unknown"), {}, "particles.star: no column _rlnOriginXAngst"),
    (nothing, {"runs": BOTH}, "runs.som sorts images"),
    (old_record, {}, "particles.star has changed since results/tiny/campaign.json was written"),
]


@pytest.mark.parametrize("number", range(len(DOUBTED)))
def test_doubtful_input_is_warned_of_in_one_line(
    number: int, tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    spoil, changes, what = DOUBTED[number]
    shutil.copytree(particles, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    spoil()
    check(changes)
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert len(lines) == bool(what) and what in "".join(lines)
    facts = PreparedFacts.read("results/tiny/prepare/prepare.json")
    # What the report's first page says; an earlier campaign's particles are no doubt of these.
    assert len(facts.doubts) == bool(what and spoil is not old_record)
    assert all(doubt in lines[0] for doubt in facts.doubts)


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_input_is_reported_in_one_line(
    number: int, tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    spoil, changes, where, what = WRONG[number]
    shutil.copytree(particles, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    spoil()
    with pytest.raises(SystemExit) as stop:
        check(changes)
    lines = [x for x in capsys.readouterr().err.splitlines() if x]
    print(lines)
    assert stop.value.code == 1
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert where in lines[0] and what in lines[0]
    assert not Path("results/tiny/prepare/prepare.json").exists()
    assert "Traceback" in Path("logs/tiny/check_input.log").read_text()


def test_snakemake_stops_at_wrong_input(place: Place):
    (place.folder / "data" / "particles.mrcs").unlink()
    done = place.snakemake(tiny_config())
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    # Where it happens, and once more as the last line.
    assert len(lines) == 2 and lines[0] == lines[1] and "particles.mrcs" in lines[0]
    assert done.stdout.splitlines()[-1] == lines[1]
    assert "Traceback" not in done.stdout
    assert not list((place.folder / "results").glob("**/*.npy"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "campaign: t\nparticles x.star\n",
            "line 2: found no colon in 'particles x.star', expected",
        ),
        ("campaign: t\nruns:\n\tem3d: {}\n", "line 3, column 1: found a tab, expected blanks"),
        ("# nothing\n", "found an empty file, expected options such as campaign: demo"),
        (None, "found no such file or directory (from /"),
    ],
    ids=["no colon", "a tab", "empty", "missing"],
)
def test_snakemake_ends_with_the_row_of_a_malformed_config_file(
    tmp_path: Path, text: str | None, said: str
):
    """That of the Snakefile; one of --configfile is read before any Snakefile."""
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1"]
    done = subprocess.run([*command, "--dry-run"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: config.yaml: {said}")


def test_snakemake_tells_a_misspelt_option_in_one_line(place: Place):
    done = place.snakemake(tiny_config(consensus={"metrik": "cosine"}), "--dry-run")
    assert done.returncode == 1
    assert "tiny.yaml: consensus.metrik: unknown option; did you mean metric?" in done.stdout
    assert "Traceback" not in done.stdout
