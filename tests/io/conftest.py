"""Small particle sets in RELION's and CryoSPARC's form."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest

from emjax.io.star.tables import StarFile, make_table, write_star
from tests.io.bench import Bench

OPTICS = {
    "rlnOpticsGroup": [1],
    "rlnOpticsGroupName": ["opticsGroup1"],
    "rlnVoltage": [300.0],
    "rlnSphericalAberration": [2.7],
    "rlnAmplitudeContrast": [0.1],
    "rlnImagePixelSize": [3.0],
    "rlnImageSize": [8],
    "rlnImageDimensionality": [2],
}


def particle_columns(n: int = 4, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "rlnImageName": [f"{i + 1:06d}@stack.mrcs" for i in range(n)],
        "rlnMicrographName": [f"mic{i // 2}.mrc" for i in range(n)],
        "rlnOpticsGroup": np.ones(n, int),
        "rlnDefocusU": rng.uniform(5e3, 2e4, n).round(3),
        "rlnDefocusV": rng.uniform(5e3, 2e4, n).round(3),
        "rlnDefocusAngle": rng.uniform(0, 180, n).round(3),
        "rlnAngleRot": rng.uniform(-180, 180, n).round(6),
        "rlnAngleTilt": rng.uniform(0, 180, n).round(6),
        "rlnAnglePsi": rng.uniform(-180, 180, n).round(6),
        "rlnOriginXAngst": rng.normal(0, 4, n).round(6),
        "rlnOriginYAngst": rng.normal(0, 4, n).round(6),
        "someoneElsesColumn": [f"x{i}" for i in range(n)],
    }


def write_stack(path: Path, n: int = 4, box: int = 8, pixel_size: float = 3.0) -> np.ndarray:
    data = np.arange(n * box * box, dtype=np.float32).reshape(n, box, box)
    with mrcfile.new(path, data, overwrite=True) as mrc:
        mrc.voxel_size = pixel_size
    return data


def build_star(columns: dict, optics: dict | None = OPTICS) -> StarFile:
    tables = [] if optics is None else [make_table("optics", optics)]
    return StarFile((*tables, make_table("particles", columns)))


@pytest.fixture
def star_set(tmp_path: Path) -> Callable[..., Path]:
    """Writes a STAR file with its stack; columns given as None are left out."""

    def make(optics: dict | None = OPTICS, **changes) -> Path:
        columns = particle_columns() | changes
        columns = {label: values for label, values in columns.items() if values is not None}
        write_stack(tmp_path / "stack.mrcs")
        write_star(tmp_path / "particles.star", build_star(columns, optics))
        return tmp_path / "particles.star"

    return make


def cs_records(n: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [
        ("uid", "<u8"), ("blob/path", "S20"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)),
        ("blob/psize_A", "<f4"), ("blob/sign", "<f4"), ("ctf/accel_kv", "<f4"),
        ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"),
        ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"),
        ("ctf/exp_group_id", "<u4"), ("alignments3D/pose", "<f4", (3,)),
        ("alignments3D/shift", "<f4", (2,)), ("alignments3D/psize_A", "<f4"),
        ("alignments3D/split", "<u4"), ("alignments3D/class", "<u4"),
        ("alignments3D/class_posterior", "<f4"), ("someone/elses_field", "<f4", (4,)),
    ]  # fmt: skip
    records = np.zeros(n, np.dtype(fields))
    records["uid"] = rng.integers(2**63, 2**64, n, dtype=np.uint64)
    records["blob/path"] = b">stack.mrcs"
    records["blob/idx"] = np.arange(n)
    records["blob/shape"] = 8
    records["blob/psize_A"] = records["alignments3D/psize_A"] = 3
    records["blob/sign"] = -1
    records["ctf/accel_kv"], records["ctf/cs_mm"], records["ctf/amp_contrast"] = 300, 2.7, 0.1
    for name in ("ctf/df1_A", "ctf/df2_A"):
        records[name] = rng.uniform(5e3, 2e4, n)
    records["ctf/df_angle_rad"] = rng.uniform(-1, 1, n)
    records["alignments3D/pose"] = rng.normal(0, 1, (n, 3))
    records["alignments3D/shift"] = rng.normal(0, 2, (n, 2))
    records["alignments3D/split"] = np.arange(n) % 2
    records["alignments3D/class_posterior"] = 1
    records["someone/elses_field"] = rng.normal(size=(n, 4))
    return records


@pytest.fixture
def cs_set(tmp_path: Path) -> Callable[[np.ndarray], Path]:
    """Writes a `.cs` file with its stack."""

    def make(records: np.ndarray) -> Path:
        write_stack(tmp_path / "stack.mrcs")
        path = tmp_path / "J7_particles.cs"
        with path.open("wb") as stream:
            np.save(stream, records)
        return path

    return make


@pytest.fixture(scope="session")
def interop(shared_data: Path) -> Path:
    """Files that other programs wrote."""
    return shared_data / "data" / "interop"


@pytest.fixture(scope="session")
def files() -> SimpleNamespace:
    """The builders of this module, for tests that change what they write."""
    return SimpleNamespace(
        optics=OPTICS,
        columns=particle_columns,
        star=build_star,
        records=cs_records,
        stack=write_stack,
    )


@pytest.fixture
def bench(tmp_path, files, star_set, cs_set, monkeypatch) -> Bench:
    """Writes one thing wrong in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, files, star_set, cs_set)
