"""Particles of the kind of ../shared/data, drawn anew from its true maps."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from emjax.imaging import prepare as imaging
from emjax.imaging.ctf import CTF
from emjax.imaging.particles import Particles
from emjax.imaging.prepare import AlignedImages, MeanMap, PrepareOptions
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles
from emjax.simulate.particles import project

PIXEL_SIZE = 6.0
RESOLUTION = 24.0
NOISE_SD = 1.255  # of the data sets' noise, in units in which `project` gives the maps' images


def data_folder() -> Path:
    """Where the development data lie: EMJAX_DATA, or beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("EMJAX_DATA", default))


@dataclass(frozen=True)
class Case:
    """Prepared particles with the truth behind them."""

    particles: Particles
    mean: MeanMap
    truth: np.ndarray
    micrograph: np.ndarray


@dataclass(frozen=True)
class Draw:
    """Images and what is known about them, before preparing."""

    images: np.ndarray
    rotations: np.ndarray
    shifts: np.ndarray
    ctf: CTF
    truth: np.ndarray
    micrograph: np.ndarray


def true_maps() -> dict[str, np.ndarray]:
    """The states by name: full, noU2Sm, noLSm, noSnu114 and ligand (without chain M)."""
    folder = data_folder()
    maps = {
        name: read_volume(folder / "spliceosome" / f"true_state_{i}.mrc")[0]
        for i, name in enumerate(["full", "noU2Sm", "noLSm", "noSnu114"])
    }
    return maps | {"ligand": read_volume(folder / "ligand_small" / "true_state_1.mrc")[0]}


def coloured_noise(n: int, box_size: int, rng: np.random.Generator) -> np.ndarray:
    """Unit-variance noise with the spectrum measured on the data sets."""
    k = np.hypot(np.fft.fftfreq(box_size)[:, None], np.fft.rfftfreq(box_size)) * 64
    amplitude = np.sqrt(0.87 + 2.65 * np.exp(-(k**2) / 62.7))
    white = rng.standard_normal((n, box_size, box_size), dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * amplitude, (box_size, box_size))
    return (noise / noise.std()).astype(np.float32)


def draw_particles(
    volumes: np.ndarray,
    states: np.ndarray,
    seed: int,
    noise_sd: float = NOISE_SD,
    scale_sd: float = 0.0,
) -> Draw:
    """Images of given states at uniform poses, 100 particles per micrograph."""
    rng = np.random.default_rng(seed)
    n = len(states)
    # The parameter has another name in newer SciPy; positions serve both.
    rotations = Rotation.random(n, rng).as_matrix()
    shifts = rng.normal(0, 1.5 * PIXEL_SIZE, (n, 2))
    micrograph = np.arange(n) // 100
    defocus = rng.uniform(8_000, 25_000, micrograph.max() + 1)[micrograph] + rng.normal(0, 100, n)
    spread = rng.normal(0, 400, micrograph.max() + 1)[micrograph]
    one = np.ones(n)
    angle = rng.uniform(0, np.pi, micrograph.max() + 1)[micrograph]
    ctf = CTF(
        defocus + spread / 2, defocus - spread / 2, angle, 0 * one, 300 * one, 2.7 * one, 0.1 * one
    )
    images = project(volumes, states, rotations, shifts, ctf, PIXEL_SIZE)
    if scale_sd:
        images *= rng.normal(1, scale_sd, n).clip(0.1)[:, None, None].astype(np.float32)
    for start in range(0, n, 1000):
        part = images[start : start + 1000]
        part += noise_sd * coloured_noise(len(part), images.shape[-1], rng)
    return Draw(images, rotations, shifts, ctf, states, micrograph)


def jitter(draw: Draw, rotation: float, shift: float, seed: int) -> Draw:
    """The same images with poses off by `rotation` degrees rms and `shift` Å an axis."""
    rng = np.random.default_rng(seed)
    off = Rotation.from_rotvec(
        np.deg2rad(rng.normal(0, rotation / np.sqrt(3), (len(draw.truth), 3)))
    )
    shifts = draw.shifts + rng.normal(0, shift, draw.shifts.shape)
    return Draw(
        draw.images,
        draw.rotations @ off.as_matrix(),
        shifts,
        draw.ctf,
        draw.truth,
        draw.micrograph,
    )


def mixed_states(fractions: list[float], n: int, seed: int) -> np.ndarray:
    """States in random order, their numbers as near the fractions as whole particles allow."""
    edges = np.round(np.cumsum(fractions) / np.sum(fractions) * n).astype(int)
    states = np.searchsorted(edges, np.arange(n), side="right")
    return np.random.default_rng(seed).permutation(states)


def aligned(draw: Draw) -> AlignedImages:
    """The images with their poses and CTFs; half-sets by micrograph."""
    return AlignedImages(
        lambda rows: draw.images[rows],
        draw.rotations,
        draw.shifts,
        draw.ctf,
        draw.images.shape[-1],
        PIXEL_SIZE,
        identity=draw.micrograph.astype(str),
    )


def prepare(
    draw: Draw, mask: np.ndarray | None, point_group: str = "C1", resolution: float = RESOLUTION
) -> Case:
    """Whitened, cropped images, half-sets by micrograph, mean map."""
    images = aligned(draw)
    found = imaging.prepare(images, PrepareOptions(resolution, symmetry=point_group), mask)
    return Case(found.particles, found.mean, draw.truth, draw.micrograph)


def read_case(
    folder: str, star: str = "particles.star", mask: bool = True, resolution: float = RESOLUTION
) -> Case:
    """One of the data sets on disk, up to a resolution (Å)."""
    place = data_folder() / folder
    found = read_particles(place / star)
    with open(place / "truth.csv") as file:
        truth = np.array([int(row["class"]) for row in csv.DictReader(file)])
    names = ("defocus_u", "defocus_v", "defocus_angle", "phase_shift")
    more = ("voltage", "spherical_aberration", "amplitude_contrast")
    ctf = CTF(*(getattr(found, name) for name in (*names, *more)))
    images = ImageStacks(found).read(np.arange(len(truth)))
    assert found.micrograph is not None
    draw = Draw(images, found.rotations, found.shifts, ctf, truth, np.asarray(found.micrograph))
    solvent = read_volume(place / "solvent_mask.mrc")[0] if mask else None
    return prepare(draw, solvent, resolution=resolution)
