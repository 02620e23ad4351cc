"""The prepared particles, as every job after `prepare_particles` reads them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import PrepareFolder
from emjax.errors import InputError
from emjax.imaging.ctf import CTF
from emjax.imaging.distortions import Distortions
from emjax.imaging.masks import resample_mask
from emjax.imaging.particles import Particles, cropped_particles
from emjax.imaging.prepare import MeanMap
from emjax.io.files import open_npy, read_tsv
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import refined_poses, set_aside
from emjax.io.particles.overlaps import overlapping
from emjax.io.particles.particle_set import ParticleSet, read_particles


@dataclass(frozen=True)
class Prepared:
    """What `prepare/` holds: the tables and the whitened, cropped images of a campaign."""

    folder: PrepareFolder
    facts: PreparedFacts
    everyone: ParticleSet  # all of the input, in its order
    rows: np.ndarray  # (n,) of those that take part
    table: ParticleSet  # these
    particles: Particles  # and their images

    @property
    def mean_map(self) -> np.ndarray:
        """Of all particles, on the cropped box."""
        return read_volume(self.folder.mean_map)[0]

    @property
    def solvent_mask(self) -> np.ndarray:
        """On the cropped box."""
        return read_volume(self.folder.solvent_mask)[0]

    @property
    def mean(self) -> MeanMap:
        """The mean map with its half-maps; their FSC is not read."""
        first, second = (read_volume(path)[0] for path in self.folder.half_maps)
        no_fsc = np.zeros(self.particles.grid.n_shells)
        return MeanMap(self.mean_map, (first, second), no_fsc, self.solvent_mask)

    @property
    def blocks(self) -> np.ndarray | None:
        """Of each particle: what held-out evidence keeps whole."""
        return blocks_of(self.table)

    def for_everyone(self, values: np.ndarray, absent: float) -> np.ndarray:
        """Values of the particles that take part as rows of the input; `absent` in the others."""
        rows = np.full((self.everyone.n, *values.shape[1:]), absent, values.dtype)
        rows[self.rows] = values
        return rows

    def focus_mask(self, path: str | None) -> np.ndarray | None:
        """The user's focus mask, which is on the particles' box, on the cropped one."""
        if not path:
            return None
        return resample_mask(read_volume(path, self.facts.box_size)[0], self.particles.box_size)

    def mask(self, focus: str | None) -> np.ndarray:
        """Where classes may differ: the solvent mask, and the focus mask inside it."""
        inside = self.focus_mask(focus)
        return self.solvent_mask if inside is None else self.solvent_mask * inside


def read_prepared(folder: PrepareFolder, everyone: bool = False) -> Prepared:
    """The particles that take part; images stay on disk until they are asked for.

    Args:
        folder: of the preparation.
        everyone: those set aside too, with weight 0.

    Raises:
        InputError: where table and images are not of the same number of particles.
    """
    facts, table = PreparedFacts.read(folder.facts), read_table(folder)
    images = open_npy(folder.images)
    if len(images) != table.n:
        raise InputError(
            place=str(folder.images),
            found=f"{len(images)} images",
            expected=f"{table.n}, as particles.star beside it; remove the folder",
        )
    takes_part = set_aside(table.source) == "none"
    particles = cropped_particles(
        images,
        poses_of(table)[0],
        ctf_of(table),
        table.half,
        groups_of(table),
        facts.box_size,
        facts.pixel_size,
        facts.radius,
        read_scale(table),
        read_noise(folder)[:, : facts.radius + 3],
        takes_part.astype(np.float32),
    )
    rows = np.arange(table.n) if everyone else np.flatnonzero(takes_part)
    if len(rows) == table.n:
        return Prepared(folder, facts, table, rows, table, particles)
    return Prepared(folder, facts, table, rows, table.select(rows), particles.subset(rows))


def poses_of(particles: ParticleSet) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and origins (Å) that the campaign works with: refined ones where there are any."""
    given = particles.rotations, particles.shifts
    return refined_poses(particles.source) or given  # type: ignore[arg-type]


def blocks_of(particles: ParticleSet) -> np.ndarray | None:
    """Micrograph of each particle, else the images that overlap with it.

    None where a half-set has no two, so cannot be divided, or no images overlap.
    """
    names, half = particles.micrograph, particles.half
    if names is not None and _divisible(names, half):
        return names
    overlap = overlapping(particles)
    together = len(np.unique(overlap)) < particles.n and _divisible(overlap, half)
    return overlap.astype(str) if together else None


def _divisible(blocks: np.ndarray, half: np.ndarray) -> bool:
    """Whether each half-set has two or more blocks."""
    return all(len(np.unique(blocks[half == h])) > 1 for h in (1, 2))


def ctf_of(particles: ParticleSet) -> CTF:
    """CTF parameters of a particle set; what no particle has is left out."""
    scale, bfactor, even = particles.ctf_scale, particles.ctf_bfactor, particles.even_aberration
    names = ("defocus_u", "defocus_v", "defocus_angle", "phase_shift")
    names = (*names, "voltage", "spherical_aberration", "amplitude_contrast")
    return CTF(
        **{name: getattr(particles, name) for name in names},
        scale=scale if (scale != 1).any() else None,
        bfactor=bfactor if bfactor.any() else None,
        even=even if even.any() else None,
    )


def distortions_of(particles: ParticleSet) -> Distortions:
    """What the images of a particle set went through beyond their CTF."""
    return Distortions(
        particles.odd_aberration,
        particles.magnification,
        particles.ctf_applied,
        ctf_of(particles),
        particles.shifts,
        particles.pixel_size,
    )


def groups_of(particles: ParticleSet) -> np.ndarray:
    """Row of the noise table of each particle: optics groups in ascending order."""
    return np.unique(particles.optics_group, return_inverse=True)[1].astype(np.int32)


def read_unchecked(path: str | Path) -> ParticleSet:
    """A particle file that was checked, without looking at its images."""
    return read_particles(path, check_images=False, require_poses=False, require_ctf=False)


def read_table(folder: PrepareFolder) -> ParticleSet:
    """The prepared particles' table without their images."""
    return read_unchecked(folder.particles.star)


def read_scale(particles: ParticleSet) -> np.ndarray:
    """Per-particle scale found by the preparation; 1 where it fitted none."""
    table = particles.source.particles  # type: ignore[union-attr]
    # Images of a stand-alone map have none.
    return table.numbers("emjaxScale") if "emjaxScale" in table else np.ones(particles.n)


def full_box_mask(folder: PrepareFolder, box_size: int) -> np.ndarray:
    """The solvent mask on the particles' own box."""
    return resample_mask(read_volume(folder.solvent_mask)[0], box_size)


def read_noise(folder: PrepareFolder) -> np.ndarray:
    """Noise power by group and shell, DC (with its neighbour's) to the input's Nyquist."""
    table = read_tsv(folder.noise)
    groups = [rows["power"].to_numpy() for _, rows in table.groupby("optics_group")]
    return np.pad(np.stack(groups), ((0, 0), (1, 0)), mode="edge").astype(np.float32)
