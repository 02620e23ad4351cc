"""One row a case: images that deceive give the map of the clean set, and what is wrong is named."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import mrcfile
import numpy as np
import pytest

from emjax.campaign.input import input_particles
from emjax.campaign.settings import complete
from emjax.imaging.ctf import evaluate_ctf
from emjax.imaging.masks import radii
from emjax.imaging.prepare import Prepared, PrepareOptions, prepare
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.io.star.tables import make_table, read_star, write_star
from emjax.jobs.optics import doubts_of_optics
from emjax.jobs.preparation import aligned_images, doubts_of_preparation
from emjax.jobs.prepared import ctf_of
from tests.campaigns import tiny_config

STAR, STACK = Path("data/particles.star"), Path("data/particles.mrcs")
OPTIONS = PrepareOptions(24.0)
Key = Callable[[ParticleSet], np.ndarray]


@dataclass(frozen=True)
class Case:
    """What was done to images or their table, and what is to come of it."""

    name: str
    spoil: Callable[[], None]
    config: dict
    left_out: tuple[int, str] = (0, "")  # images, and why
    says: str = ""
    alike: float = 0.99  # correlation with the clean set's map
    together: Key | None = None  # particles with the same key are to share a half-set


def images(change: Callable[[np.ndarray], None]) -> Callable[[], None]:
    """Other pixels."""

    def edit() -> None:
        # Header statistics would warn of infinite pixels.
        with mrcfile.mmap(STACK, "r+", permissive=True) as mrc:
            change(mrc.data)

    return edit


def times_ctf(how: Callable[[np.ndarray], np.ndarray]) -> Callable[[], None]:
    """Transforms multiplied with how(CTF)."""

    def change(data: np.ndarray) -> None:
        particles = read_particles(STAR)
        d = particles.box_size
        f = np.fft.fftfreq(d, particles.pixel_size)
        y, x = (jnp.asarray(a.ravel()) for a in np.meshgrid(f, f[: d // 2 + 1], indexing="ij"))
        ctf = np.asarray(evaluate_ctf(ctf_of(particles), x, y)).reshape(len(data), d, -1)
        data[:] = np.fft.irfft2(np.fft.rfft2(data) * how(ctf), (d, d))

    return images(change)


def columns(**new: object) -> None:
    """Further columns of the particles."""
    star = read_star(STAR)
    write_star(STAR, star.with_table(star["particles"].with_columns(new)))  # pyright: ignore


def flagged_flips() -> None:
    times_ctf(np.sign)()
    star = read_star(STAR)
    optics = star["optics"].with_columns({"rlnCtfDataArePhaseFlipped": np.ones(1, int)})
    write_star(STAR, star.with_table(optics))


def mirrored() -> None:
    """Half of the images; of an even number of pixels the first has no mirror image."""
    images(lambda data: np.copyto(data[150:], np.roll(data[150:, :, ::-1], 1, 2)))()
    columns(rlnIsFlip=(np.arange(300) >= 150).astype(int))


def repeated(times: int, move: Callable[[dict, np.random.Generator], None]) -> Callable[[], None]:
    """Every particle several times, with other values in some of its columns."""

    def edit() -> None:
        star, rng = read_star(STAR), np.random.default_rng(0)
        table = star["particles"]
        new: dict = {label: np.repeat(table.text(label), times) for label in table.labels}
        move(new, rng)
        write_star(STAR, star.with_table(make_table("particles", new)))

    return edit


def expand(new: dict, rng: np.random.Generator) -> None:
    """Half a turn about z, and random subsets that put copies into both halves."""
    rot = new["rlnAngleRot"].astype(float)
    rot[1::2] += 180
    new |= {"rlnAngleRot": rot, "rlnRandomSubset": rng.integers(1, 3, len(rot))}


def pick_again(new: dict, rng: np.random.Generator) -> None:
    """Boxes a pixel apart, each an image of its own."""
    n = len(new["rlnAngleRot"]) // 2
    with mrcfile.open(STACK, "r+", permissive=True) as mrc:
        data = np.array(mrc.data)
        mrc.set_data(np.stack([data, np.roll(data, 1, 2)], 1).reshape(2 * n, *data.shape[1:]))
    x = new["rlnOriginXAngst"].astype(float)
    x[1::2] -= 6
    place = np.repeat(rng.uniform(100, 3000, (n, 2)), 2, 0)
    place[1::2, 0] -= 1
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(2 * n)]
    new |= {"rlnOriginXAngst": x, "rlnImageName": names}
    new |= {"rlnCoordinateX": place[:, 0], "rlnCoordinateY": place[:, 1]}


def segment() -> None:
    """Ten segments a filament, numbered anew in each micrograph."""
    micrograph = np.array([f"mic{i // 30}.mrc" for i in range(300)])
    columns(rlnHelicalTubeID=np.arange(300) // 10 % 3 + 1, rlnMicrographName=micrograph)


def shell_mask() -> None:
    """1 around the particle instead of in it, and 0 at the box's faces."""
    inverted = (radii(48) > 12) & (radii(48) < 22)
    with mrcfile.new("mask.mrc", inverted.astype(np.float32)) as mrc:
        mrc.voxel_size = 6.0


HOT, FLIPPED = "hot or dead pixels", {"ctf_in_images": "phase_flipped"}
MULTIPLIED = {"ctf_in_images": "premultiplied"}
CASES = [
    Case("as they are", lambda: None, {}),
    Case("too strong", images(lambda x: np.multiply(x[::50], 30, x[::50])), {}, (6, "norm")),
    Case("too weak", images(lambda x: np.divide(x[::50], 50, x[::50])), {}, (6, "norm")),
    Case("hot pixels", images(lambda x: x[::50, 20, 31].fill(3000 * x.std())), {}, (6, HOT)),
    Case("blank", images(lambda x: x[5:100:40].fill(0)), {}, (3, "constant")),
    Case("not finite", images(lambda x: x[::60, 5, 5].fill(np.inf)), {}, (5, "not finite")),
    Case("flipped", times_ctf(np.sign), FLIPPED, alike=0.98),
    Case("flipped, flagged", flagged_flips, {}, alike=0.98),
    Case("multiplied", times_ctf(lambda ctf: ctf), MULTIPLIED, alike=0.98),
    Case("mirrored", mirrored, {}),
    Case("expanded", repeated(2, expand), {}, alike=0.6, together=lambda t: t.image),
    Case("picked twice", repeated(2, pick_again), {}, together=lambda t: np.arange(t.n) // 2),
    Case("filaments", segment, {}, together=lambda t: np.arange(t.n) // 10),
    Case("inverted mask", shell_mask, {"masks": {"solvent": "mask.mrc"}},
         says="of the mean map's density only", alike=0.9),
]  # fmt: skip


def prepared(config: dict) -> tuple[ParticleSet, Prepared, list[str]]:
    """Particles, what the preparation makes of them, and its doubts."""
    whole = complete(tiny_config(**config))
    table, solvent = input_particles(whole), whole["masks"]["solvent"]
    mask = None if solvent == "auto" else read_volume(solvent, table.box_size)[0]
    found = prepare(aligned_images(table), OPTIONS, mask)
    said = [*doubts_of_preparation(found, solvent), *doubts_of_optics(found, table, OPTIONS)]
    return table, found, said


@pytest.fixture(scope="module")
def clean(particles: Path) -> np.ndarray:
    """The mean map of the images as they are."""
    here = Path.cwd()
    os.chdir(particles.parent)
    try:
        return prepared({"particles": str(particles / "particles.star")})[1].mean.volume
    finally:
        os.chdir(here)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_map_is_that_of_the_clean_set(
    case: Case, clean: np.ndarray, particles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(particles, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    case.spoil()
    table, found, said = prepared(case.config)
    number, reason = case.left_out
    assert set(found.bad_images.reasons) == ({reason} if number else set())
    assert len(found.bad_images) == number
    assert len(said) == bool(case.says) and case.says in "".join(said)
    assert np.corrcoef(clean.ravel(), found.mean.volume.ravel())[0, 1] > case.alike
    if case.together is not None:
        key, half = case.together(table), found.particles.half
        assert {1, 2} == set(half.tolist())
        assert all(len(set(half[key == k].tolist())) == 1 for k in np.unique(key))
