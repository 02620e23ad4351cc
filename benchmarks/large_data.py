"""Particles of any box for the benchmark of large ones, written as a stack and a STAR file."""

from dataclasses import dataclass
from pathlib import Path

import jax
import mrcfile
import numpy as np
import pandas as pd
import starfile
from scipy.spatial.transform import Rotation

from emjax.imaging.ctf import CTF, evaluate_ctf
from emjax.imaging.particles import chunks
from emjax.io.poses import matrix_to_euler

SPREAD = 4.0  # Å, standard deviation of a blob: density to some 10 Å
BLOBS = 120
SNR = 0.1  # of a pixel inside the particle's disc


@dataclass(frozen=True)
class Body:
    """A body of Gaussian blobs; states lack one of its domains each."""

    points: np.ndarray  # (k, j, 3), Å from the centre
    box_size: int
    pixel_size: float  # Å

    def volume(self, state: int) -> np.ndarray:
        """Density of a state in its box, axes z, y, x."""
        x, y, z = (self._profiles(axis) for axis in self.points[state].T)
        return np.einsum("jz,jy,jx->zyx", z, y, x, optimize=True).astype(np.float32)

    def projections(self, state: int, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """Projections of a state at poses, exact: a Gaussian's is the product of two profiles."""
        places = np.einsum("nij,kj->nki", rotations[:, :2], self.points[state])
        places = places - shifts[:, None]
        x, y = self._profiles(places[..., 0]), self._profiles(places[..., 1])
        return y.transpose(0, 2, 1) @ x

    def _profiles(self, centre: np.ndarray) -> np.ndarray:
        width = SPREAD / self.pixel_size
        axis = np.arange(self.box_size) - self.box_size // 2
        distance = (axis - centre[..., None] / self.pixel_size) / width
        return (np.exp(-0.5 * distance**2) / (width * np.sqrt(2 * np.pi))).astype(np.float32)


def make_body(n_states: int, box_size: int, pixel_size: float, seed: int = 0) -> Body:
    """A body that fills 0.6 of the box, and states that each lack a tenth of it on one side."""
    rng = np.random.default_rng(seed)
    core = rng.normal(0, 0.1, (BLOBS, 3))
    core *= np.minimum(1, 0.28 / np.linalg.norm(core, axis=1, keepdims=True))
    sides = rng.normal(size=(n_states, 3))
    states = [core[np.argsort(core @ side)[BLOBS // 10 :]] for side in sides]
    return Body(np.stack(states) * box_size * pixel_size, box_size, pixel_size)


def write_particles(folder: Path, body: Body, n: int, seed: int = 0) -> np.ndarray:
    """Write particles.mrcs and particles.star with poses, CTFs and half-sets; their states.

    Args:
        folder: to write to.
        body: of the particles; its states are equally frequent.
        n: particles.
        seed: of everything drawn.
    """
    rng = np.random.default_rng(seed)
    d, one = body.box_size, np.ones(n)
    states = rng.integers(0, len(body.points), n)
    rotations = Rotation.random(n, rng).as_matrix()
    shifts = rng.normal(0, 2 * body.pixel_size, (n, 2))
    micrograph = np.arange(n) // 100
    defocus = rng.uniform(8_000, 25_000, micrograph[-1] + 1)[micrograph]
    ctf = CTF(defocus, defocus - 300, 0 * one, 0 * one, 300 * one, 2.7 * one, 0.1 * one)
    extent = d * body.pixel_size
    ky, kx = np.meshgrid(np.fft.fftfreq(d, 1 / d), np.arange(d // 2 + 1), indexing="ij")
    contrast = jax.jit(lambda own: evaluate_ctf(own, kx.ravel() / extent, ky.ravel() / extent))
    disc = np.hypot(*np.meshgrid(*2 * [np.arange(d) - d // 2])) < 0.3 * d
    noise_sd = 0.0
    with mrcfile.new_mmap(folder / "particles.mrcs", (n, d, d), mrc_mode=2) as stack:
        for rows in chunks(n, 50):
            images = np.empty((len(rows), d, d), np.float32)
            for state in np.unique(states[rows]):
                own = states[rows] == state
                where = rotations[rows[own]], shifts[rows[own]]
                images[own] = body.projections(int(state), *where)
            spectra = np.fft.rfft2(images)
            spectra *= np.asarray(contrast(ctf.take(rows))).reshape(spectra.shape)
            images = np.fft.irfft2(spectra, (d, d))
            noise_sd = noise_sd or float(images[:, disc].std() / np.sqrt(SNR))
            noise = rng.standard_normal(images.shape, np.float32)
            stack.data[rows[0] : rows[-1] + 1] = images / noise_sd + noise
        stack.set_image_stack()
        stack.voxel_size = body.pixel_size
    rot, tilt, psi = matrix_to_euler(rotations).T
    tables = {
        "optics": pd.DataFrame({
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnAmplitudeContrast": [0.1],
            "rlnSphericalAberration": [2.7],
            "rlnVoltage": [300.0],
            "rlnImagePixelSize": [body.pixel_size],
            "rlnImageSize": [d],
            "rlnImageDimensionality": [2],
        }),
        "particles": pd.DataFrame({
            "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(n)],
            "rlnMicrographName": [f"mic{m:04d}.mrc" for m in micrograph],
            "rlnOpticsGroup": np.ones(n, int),
            "rlnDefocusU": ctf.defocus_u,
            "rlnDefocusV": ctf.defocus_v,
            "rlnDefocusAngle": np.zeros(n),
            "rlnAngleRot": rot,
            "rlnAngleTilt": tilt,
            "rlnAnglePsi": psi,
            "rlnOriginXAngst": shifts[:, 0],
            "rlnOriginYAngst": shifts[:, 1],
            "rlnRandomSubset": np.arange(n) % 2 + 1,
        }),
    }  # fmt: skip
    starfile.write(tables, folder / "particles.star")
    return states
