"""Simulate the demo's particles: four states of a small phantom, as RELION would hand them on.

Usage: simulate_demo.py FOLDER [PARTICLES]
"""

import sys
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from emjax.io.atomic import atomic_path
from emjax.io.relion import matrix_to_euler
from emjax.io.star import StarFile, make_table, write_star
from emjax.simulate import phantom, simulate

BOX, PIXEL, FRACTIONS = 48, 6.0, np.array([0.4, 0.3, 0.2, 0.1])


def main(folder: Path, n: int) -> None:
    """Write particles.mrcs, truth.csv and, last, particles.star."""
    volumes = phantom(len(FRACTIONS), BOX, seed=1)
    made = simulate(volumes, n, seed=1, pixel_size=PIXEL, snr=0.5, fractions=FRACTIONS)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "particles.mrcs") as beside:
        with mrcfile.new(beside, made.images, overwrite=True) as stack:
            stack.set_image_stack()
            stack.voxel_size = PIXEL
    truth = pd.DataFrame({"image_index": np.arange(n), "state": made.states})
    truth.to_csv(folder / "truth.csv", index=False)
    optics = {
        "rlnOpticsGroup": np.array([1]),
        "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnAmplitudeContrast": np.array([0.1]),
        "rlnSphericalAberration": np.array([2.7]),
        "rlnVoltage": np.array([300.0]),
        "rlnImagePixelSize": np.array([PIXEL]),
        "rlnImageSize": np.array([BOX]),
        "rlnImageDimensionality": np.array([2]),
    }
    rot, tilt, psi = matrix_to_euler(made.rotations).T
    particles = {
        "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(n)],
        "rlnMicrographName": [f"mic{m:04d}.mrc" for m in made.micrograph],
        "rlnOpticsGroup": np.ones(n, int),
        "rlnDefocusU": np.asarray(made.ctf.defocus_u),
        "rlnDefocusV": np.asarray(made.ctf.defocus_v),
        "rlnDefocusAngle": np.degrees(made.ctf.defocus_angle),
        "rlnAngleRot": rot,
        "rlnAngleTilt": tilt,
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": made.shifts[:, 0],
        "rlnOriginYAngst": made.shifts[:, 1],
    }
    path = folder / "particles.star"
    tables = (make_table("optics", optics), make_table("particles", particles))
    write_star(path, StarFile(tables))
    print(f"{n} particles in {len(FRACTIONS)} states: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3000)
