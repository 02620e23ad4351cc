"""Classifications as RELION, CryoSPARC and emjax leave them: particles, averages or maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emjax.io.cryosparc.tables import write_cs
from emjax.io.mrc.volume import write_stack, write_volume
from emjax.io.star.tables import StarFile, make_table, write_star
from tests.rebalance.test_affinity import blob_view, moved

PIXEL = 4.0


def averages_of_views(n_classes: int, n_views: int, noise: float = 0.15) -> np.ndarray:
    """Class k shows view k % n_views, in any rotation and a little shifted."""
    rng = np.random.default_rng(0)
    images = np.stack(
        [
            moved(blob_view(10 + k % n_views), rng.uniform(0, 360), tuple(rng.uniform(-3, 3, 2)))
            for k in range(n_classes)
        ]
    )
    return (images + noise * images.std() * rng.standard_normal(images.shape)).astype(np.float32)


def class_of_particle(sizes: Sequence[int]) -> np.ndarray:
    """Class of each particle from 0, in any order."""
    return np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))


def write_class2d(job: Path, averages: np.ndarray, sizes: Sequence[int]) -> None:
    """A RELION Class2D job; its particles have neither CTF nor poses."""
    job.mkdir(parents=True)
    labels = class_of_particle(sizes)
    n, name = len(labels), f"{job.as_posix()}/run_it025_classes.mrcs"
    write_stack(job / "run_it025_classes.mrcs", averages, PIXEL)
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnImagePixelSize": [PIXEL], "rlnImageSize": [averages.shape[-1]],
        "rlnImageDimensionality": [2],
    }  # fmt: skip
    particles = {
        "rlnImageName": [f"{i + 1:06d}@Extract/job005/mic{i % 7}.mrcs" for i in range(n)],
        "rlnOpticsGroup": np.ones(n, int),
        "rlnClassNumber": labels + 1,
    }
    tables = make_table("optics", optics), make_table("particles", particles)
    write_star(job / "run_it025_data.star", StarFile(tables))
    classes = {
        "rlnReferenceImage": [f"{k + 1:06d}@{name}" for k in range(len(averages))],
        "rlnClassDistribution": np.round(np.array(sizes) / n, 6),
    }
    write_star(job / "run_it025_model.star", StarFile((make_table("model_classes", classes),)))


def write_cryosparc_2d(job: Path, averages: np.ndarray, sizes: Sequence[int]) -> None:
    """A CryoSPARC 2D classification with what its tables hold; particles have no CTF."""
    job.mkdir(parents=True)
    labels, box_size = class_of_particle(sizes), averages.shape[-1]
    n, stem = len(labels), f"{job.name}_020"
    write_stack(job / f"{stem}_class_averages.mrc", averages, PIXEL)
    blob = [
        ("uid", "<u8"), ("blob/path", "S60"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)),
        ("blob/psize_A", "<f4"), ("blob/sign", "<f4"), ("blob/import_sig", "<u8"),
    ]  # fmt: skip
    aligned = [
        ("alignments2D/split", "<u4"), ("alignments2D/shift", "<f4", (2,)),
        ("alignments2D/pose", "<f4"), ("alignments2D/psize_A", "<f4"),
        ("alignments2D/error", "<f4"), ("alignments2D/class", "<u4"),
        ("alignments2D/class_posterior", "<f4"),
    ]  # fmt: skip
    rng = np.random.default_rng(2)
    particles = np.zeros(n, blob + aligned)
    particles["uid"] = rng.permutation(np.arange(n) * 7919 + 2**40)
    particles["blob/path"], particles["blob/idx"] = b"J2/extract/mic1.mrc", np.arange(n)
    particles["blob/shape"], particles["blob/psize_A"] = box_size, PIXEL
    particles["alignments2D/class"], particles["alignments2D/psize_A"] = labels, PIXEL
    particles["alignments2D/pose"] = rng.uniform(-np.pi, np.pi, n)
    write_cs(job / f"{stem}_particles.cs", particles)
    classes = np.zeros(len(averages), [*blob, ("blob/res_A", "<f4")])
    classes["uid"], classes["blob/idx"] = np.arange(len(averages)) + 5, np.arange(len(averages))
    classes["blob/path"] = f"{job.as_posix()}/{stem}_class_averages.mrc".encode()
    classes["blob/shape"], classes["blob/psize_A"] = box_size, PIXEL
    write_cs(job / f"{stem}_class_averages.cs", classes)


def write_run(folder: Path, volumes: np.ndarray, sizes: Sequence[int]) -> None:
    """A 3D run as emjax leaves it: particles and a map per class."""
    folder.mkdir(parents=True)
    labels = class_of_particle(sizes)
    particles = {
        "rlnImageName": [f"{i + 1:06d}@images.mrcs" for i in range(len(labels))],
        "rlnImagePixelSize": np.full(len(labels), PIXEL),
        "rlnClassNumber": labels + 1,
    }
    write_star(folder / "particles.star", StarFile((make_table("particles", particles),)))
    for k, volume in enumerate(volumes, 1):
        write_volume(folder / f"class_{k:03d}.mrc", volume, PIXEL)
