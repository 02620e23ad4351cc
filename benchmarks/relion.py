"""RELION's own classification and reconstruction of a particle file, for comparison."""

import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import starfile
from subspace_data import PIXEL_SIZE, Draw

from emjax.io.mrc.volume import read_volume
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.poses import matrix_to_euler


def found() -> bool:
    """Whether RELION's programs are installed."""
    return all(shutil.which(p) for p in ("relion_refine", "relion_reconstruct"))


def classify(
    folder: Path, star: str, n_classes: int, mask: Path, seed: int = 1, iterations: int = 25
) -> tuple[np.ndarray, float]:
    """Classes without alignment by the command of the data README, and the CPU seconds of all."""
    options = (
        f"--ctf --K {n_classes} --iter {iterations} --skip_align --particle_diameter 380"
        " --flatten_solvent --zero_mask --norm --scale --tau2_fudge 4 --pad 1 --j 2 --pool 30"
        f" --random_seed {seed} --dont_combine_weights_via_disc --preread_images --ini_high 40"
        f" --strict_highres_exp 24 --solvent_mask {mask}"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as scratch:
        reference = f"{scratch}/consensus.mrc"
        _run(
            ["relion_reconstruct", "--i", star, "--o", reference, "--ctf", "--angpix", "6"], folder
        )
        command = ["relion_refine", "--i", star, "--o", f"{scratch}/run", "--ref", reference]
        _run([*command, *options.split()], folder)
        table = _particles(f"{scratch}/run_it{iterations:03d}_data.star")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # relion_refine keeps the images of a micrograph together, not the rows' order.
    classes = dict(zip(table["rlnImageName"], table["rlnClassNumber"], strict=True))
    return np.array([classes[name] for name in _particles(folder / star)["rlnImageName"]]), cpu


def reconstruct(folder: Path, star: str, members: np.ndarray) -> np.ndarray:
    """Map of some rows of a particle file by relion_reconstruct."""
    with tempfile.TemporaryDirectory() as scratch:
        part, output = f"{scratch}/members.star", f"{scratch}/map.mrc"
        particles = read_particles(folder / star).select(np.flatnonzero(members))
        write_particles(part, particles, {})
        _run(["relion_reconstruct", "--i", part, "--o", output, "--ctf", "--angpix", "6"], folder)
        return read_volume(output)[0]


def write_set(folder: Path, draw: Draw) -> None:
    """Images of a draw and particles.star as RELION 3.1 reads them."""
    n, box_size = draw.images.shape[:2]
    with mrcfile.new(folder / "particles.mrcs", draw.images) as stack:
        stack.set_image_stack()
        stack.voxel_size = PIXEL_SIZE
    ctf = vars(draw.ctf)
    optics = {
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnAmplitudeContrast": ctf["amplitude_contrast"][:1],
        "rlnSphericalAberration": ctf["spherical_aberration"][:1],
        "rlnVoltage": ctf["voltage"][:1],
        "rlnImagePixelSize": [PIXEL_SIZE],
        "rlnImageSize": [box_size],
        "rlnImageDimensionality": [2],
    }
    rot, tilt, psi = matrix_to_euler(draw.rotations).T
    particles = {
        "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(n)],
        "rlnMicrographName": [f"mic{m:04d}.mrc" for m in draw.micrograph],
        "rlnOpticsGroup": np.ones(n, int),
        "rlnDefocusU": ctf["defocus_u"],
        "rlnDefocusV": ctf["defocus_v"],
        "rlnDefocusAngle": np.degrees(ctf["defocus_angle"]),
        "rlnAngleRot": rot,
        "rlnAngleTilt": tilt,
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": draw.shifts[:, 0],
        "rlnOriginYAngst": draw.shifts[:, 1],
    }
    tables = {"optics": pd.DataFrame(optics), "particles": pd.DataFrame(particles)}
    starfile.write(tables, folder / "particles.star")


def _particles(path: str | Path) -> Any:
    return starfile.read(path, always_dict=True)["particles"]


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
