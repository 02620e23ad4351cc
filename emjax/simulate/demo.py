"""The demo's particles, four states of a small phantom, and what a campaign made of them.

`python -m emjax.simulate.demo FOLDER [PARTICLES]` writes them alone.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import write_stack
from emjax.io.poses import matrix_to_euler
from emjax.io.star.tables import StarFile, make_table, write_star
from emjax.simulate.particles import Simulation, phantom, simulate

BOX, PIXEL, FRACTIONS = 48, 6.0, np.array([0.4, 0.3, 0.2, 0.1])


def simulate_demo(folder: Path, n: int = 3000) -> Path:
    """Write particles.mrcs, truth.csv and, last, particles.star, whose path is returned."""
    volumes = phantom(len(FRACTIONS), BOX, seed=1)
    made = simulate(volumes, n, seed=1, pixel_size=PIXEL, snr=0.5, fractions=FRACTIONS)
    return write_set(folder, made)


def write_set(folder: Path, made: Simulation) -> Path:
    """Write simulated particles as RELION would: stack, truth.csv and, last, particles.star."""
    n = len(made.states)
    folder.mkdir(parents=True, exist_ok=True)
    write_stack(folder / "particles.mrcs", made.images, PIXEL)
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
    return path


def compare_with_truth(folder: Path, labels: Path) -> str:
    """How well the classes of a particle file fit the states that were simulated, in a sentence.

    Args:
        folder: where `simulate_demo` wrote.
        labels: a particle file of the campaign, all particles in their order.
    """
    truth = pd.read_csv(folder / "truth.csv")["state"].to_numpy()
    _, found, _ = read_labels(labels)
    agreement = adjusted_rand_score(truth, found)
    return (
        f"Simulated were {len(np.unique(truth))} states; the campaign found"
        f" {len(np.unique(found[found >= 0]))} classes, agreement (adjusted Rand index)"
        f" {agreement:.3f} of 1."
    )


if __name__ == "__main__":
    print(simulate_demo(Path(sys.argv[1]), *map(int, sys.argv[2:])))
