"""The prepared particles, as every rule after `prepare_particles` reads them."""

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.imaging.ctf import CTF
from emjax.imaging.particles import Particles, cropped_particles
from emjax.io.files import read_json, read_tsv
from emjax.io.particles.particle_set import ParticleSet, read_particles


def ctf_of(particles: ParticleSet) -> CTF:
    """CTF parameters of a particle set."""
    return CTF(**{name: getattr(particles, name) for name in CTF.__dataclass_fields__})


def groups_of(particles: ParticleSet) -> np.ndarray:
    """Row of the noise table of each particle: optics groups in ascending order."""
    return np.unique(particles.optics_group, return_inverse=True)[1].astype(np.int32)


def read_unchecked(path: str | Path) -> ParticleSet:
    """A particle file without looking at its images."""
    return read_particles(path, check_images=False, on_mixed_optics="resample")


def read_table(folder: str | Path) -> ParticleSet:
    """The prepared particles' table without their images."""
    return read_unchecked(Path(folder) / "particles.star")


def read_scale(particles: ParticleSet) -> np.ndarray:
    """Per-particle scale found by the preparation."""
    return particles.source.particles.numbers("emjaxScale")  # type: ignore[union-attr]


def micrographs_of(particles: ParticleSet) -> np.ndarray | None:
    """Micrograph of each particle, which held-out evidence keeps whole.

    None where a half-set has no two of them, so that it could not be divided.
    """
    names = particles.micrograph
    if names is None or any(len(set(names[particles.half == h])) < 2 for h in (1, 2)):
        return None
    return names


def noise_table(
    power: np.ndarray, groups: np.ndarray, extent: float, fsc: np.ndarray
) -> pd.DataFrame:
    """Noise power of each optics group and shell, and the mean map's FSC.

    Args:
        power: by group and shell.
        groups: numbers of the optics groups, ascending.
        extent: length of the box in Å.
        fsc: of the mean map's half-maps, for the shells that were kept.
    """
    shells = np.arange(1, power.shape[1])  # DC is left out
    known = np.full(len(shells), np.nan)
    known[: len(fsc) - 1] = fsc[1 : len(shells) + 1]
    return pd.concat(
        pd.DataFrame(
            {
                "resolution": extent / shells,
                "frequency_per_angstrom": shells / extent,
                "optics_group": group,
                "power": power[row, 1:],
                "mean_fsc": known,
            }
        )
        for row, group in enumerate(groups)
    )


def read_noise(folder: str | Path) -> np.ndarray:
    """Noise power by group and shell, DC (with its neighbour's) to the input's Nyquist."""
    table = read_tsv(Path(folder) / "noise.tsv")
    groups = [rows["power"].to_numpy() for _, rows in table.groupby("optics_group")]
    return np.pad(np.stack(groups), ((0, 0), (1, 0)), mode="edge").astype(np.float32)


def load_prepared(folder: str | Path) -> tuple[ParticleSet, Particles]:
    """The table and the whitened, cropped images of a campaign.

    Raises:
        InputError: where they are not of the same number of particles.
    """
    folder = Path(folder)
    facts = read_json(folder / "prepare.json")
    table = read_table(folder)
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    if len(images) != len(table.half):
        raise InputError(
            place=str(folder / "images.npy"),
            found=f"{len(images)} images",
            expected=f"{len(table.half)}, as particles.star beside it; remove the folder",
        )
    prepared = cropped_particles(
        images,
        table.rotations,
        ctf_of(table),
        table.half,
        groups_of(table),
        facts["box_size"],
        facts["pixel_size"],
        facts["radius"],
        read_scale(table),
        read_noise(folder)[:, : facts["radius"] + 3],
    )
    return table, prepared
