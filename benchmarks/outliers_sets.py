"""Sets of the benchmark of outliers: images with the truth about each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import subspace_data as data
from scipy.spatial.transform import Rotation
from subspace_sets import draw_of

from emjax.classify.outliers import AUTO_RATE, OutlierOptions, Outliers, leave_out
from emjax.imaging.prepare import AlignedImages, Prepared, PrepareOptions, prepare
from emjax.io.particles.particle_set import ParticleSet, read_particles
from emjax.jobs.preparation import aligned_images
from emjax.simulate.particles import coloured_noise, phantom, simulate

NEAR, FAR, FOUND = 6.0, 15.0, 5.0  # degrees: a right pose, a wrong one, a pose that was found

PREPARATION = PrepareOptions(data.RESOLUTION)


@dataclass(frozen=True)
class Judged:
    """Images and what is known about them."""

    images: AlignedImages
    truth: np.ndarray  # state, -1 where there is no particle
    rotations: np.ndarray  # true ones
    table: ParticleSet | None = None

    @property
    def off(self) -> np.ndarray:
        """Degrees between the true and the given pose."""
        return angles(self.rotations, self.images.rotations)

    @property
    def junk(self) -> np.ndarray:
        """Images that hold no particle."""
        return self.truth < 0

    @property
    def good(self) -> np.ndarray:
        """Particles at about their true pose."""
        return ~self.junk & (self.off < NEAR)

    @property
    def lost(self) -> np.ndarray:
        """Particles at a wrong pose."""
        return ~self.junk & (self.off > FAR)


def angles(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees between poses."""
    return np.degrees(Rotation.from_matrix(np.swapaxes(one, 1, 2) @ other).magnitude())


def there(folder: str) -> bool:
    """Whether a data set is on this machine."""
    return (data.data_folder() / folder / "truth.csv").exists()


def read_set(folder: str, star: str = "particles.star", rows: np.ndarray | None = None) -> Judged:
    """A data set, or some of its particles; `particles.star` has the true poses."""
    place = data.data_folder() / folder
    exact, table = (read_particles(place / name) for name in ("particles.star", star))
    truth = np.loadtxt(place / "truth.csv", delimiter=",", skiprows=1, usecols=1).astype(int)
    rows = np.arange(len(truth)) if rows is None else rows
    part = table.select(rows)
    return Judged(aligned_images(part), truth[rows], exact.rotations[rows], part)


def states_of(folder: str) -> np.ndarray:
    """State of each particle of a data set."""
    place = data.data_folder() / folder / "truth.csv"
    return np.loadtxt(place, delimiter=",", skiprows=1, usecols=1).astype(int)


def five_states() -> Judged:
    """10,000 particles of five states, drawn from the true maps."""
    draw = draw_of("five")
    return Judged(data.aligned(draw), draw.truth, draw.rotations)


def rare_phantom(n: int = 4000, part: float = 0.03, junk: int = 240) -> Judged:
    """Two states of a phantom, one of them rare; the last images are noise."""
    states = phantom(2, 48, seed=5)
    made = simulate(states, n, seed=6, snr=0.5, fractions=np.array([1 - part, part]), scale_sd=0.15)
    pixels = made.images.copy()
    pixels[-junk:] = coloured_noise(junk, 48, np.random.default_rng(7))
    truth = made.states.copy()
    truth[-junk:] = -1
    images = replace(made.aligned(), read=lambda rows: pixels[rows])
    return Judged(images, truth, made.rotations)


def with_one_rare(truth: np.ndarray, state: int, part: float = 0.03, seed: int = 0) -> np.ndarray:
    """Rows of all others, and of so many of one state that these are a small part."""
    others = np.flatnonzero(truth != state)
    wanted = round(np.sum(truth[others] >= 0) * part / (1 - part))
    own = np.random.default_rng(seed).permutation(np.flatnonzero(truth == state))[:wanted]
    return np.sort(np.concatenate([others, own]))


def with_junk(truth: np.ndarray, part: float, seed: int = 0) -> np.ndarray:
    """Rows of all junk, and of so few particles that junk is a given part."""
    junk, particles = np.flatnonzero(truth < 0), np.flatnonzero(truth >= 0)
    wanted = round(len(junk) * (1 - part) / part)
    own = np.random.default_rng(seed).permutation(particles)[:wanted]
    return np.sort(np.concatenate([junk, own]))


def weaker(judged: Judged, factor: float, seed: int = 0) -> Judged:
    """The same images at an SNR lower by a factor: noise of the data sets' spectrum is added."""
    images = judged.images

    def read(rows: np.ndarray) -> np.ndarray:
        pixels = images.read(rows).astype(np.float32)
        axis = np.arange(images.box_size) - images.box_size // 2
        outside = np.hypot(axis[:, None], axis) > 0.45 * images.box_size
        sd = pixels[:, outside].std(1) * np.sqrt(factor - 1)
        # Row by row, so that the noise is the same however the rows are read.
        noise = [
            data.coloured_noise(1, images.box_size, np.random.default_rng((seed, row)))[0]
            for row in rows.tolist()
        ]
        return pixels + sd[:, None, None] * np.stack(noise)

    return replace(judged, images=replace(images, read=read))


def prepare_set(judged: Judged, rate: float = AUTO_RATE) -> tuple[Prepared, Outliers]:
    """The set prepared without what fits nothing, and what that was."""
    found = prepare(judged.images, PREPARATION)
    return leave_out(found, OutlierOptions(rate, "set_aside"), PREPARATION)


def share(which: np.ndarray, among: np.ndarray) -> float:
    """Fraction of some that are."""
    return float(np.mean(which[among])) if among.any() else 0.0


def percent(values: Sequence[float]) -> str:
    """Fractions as a reader wants them."""
    return ", ".join(
        f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.1f} %" for value in values
    )
