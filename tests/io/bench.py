"""Writes one thing wrong and reads it: the bench of the malformed suites."""

import re
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from numpy.lib.recfunctions import drop_fields

from emjax.errors import InputError
from emjax.io.labels.read import read_labels
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import replace_fields
from emjax.io.particles.particle_set import read_particles
from emjax.io.star.tables import read_star

HEADER = mrcfile.dtypes.HEADER_DTYPE
GOOD = "data_particles\nloop_\n_rlnImageName #1\n_rlnClassNumber #2\n1@a.mrcs 1\n2@a.mrcs 2\n"
LOOP = "data_\nloop_\n"


class Bench:
    """Writes one thing wrong and reads it."""

    def __init__(self, folder: Path, files, star_set, cs_set) -> None:
        self.folder, self.files, self.star_set, self.cs_set = folder, files, star_set, cs_set

    def star(self, optics: object = "good", **columns):
        """A good particle file but for the columns given."""
        optics = self.files.optics if optics == "good" else optics
        return read_particles(self.star_set(optics, **columns))

    def optics(self, **columns):
        """A good particle file but for these columns of its optics table (None: left out)."""
        optics = self.files.optics | columns
        return self.star({k: v for k, v in optics.items() if v is not None})

    def value(self, column: str, row: int, value: str):
        """One value of a good file replaced, as text."""
        values = [str(v) for v in self.files.columns()[column]]
        values[row] = value
        return self.star(**{column: values})

    def text(self, content: str | bytes, read: Callable = read_star, name: str = "bad.star"):
        """A file with this content."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path)

    def cs(self, drop: str = "", **fields):
        """A good `.cs` but for the fields given."""
        records = self.files.records()
        for name, value in fields.items():
            records[name.replace("__", "/")] = value
        return read_particles(self.cs_set(drop_fields(records, drop) if drop else records))

    def cs_with(self, name: str, value):
        """A good `.cs` with one more field, the same for all particles."""
        records = self.files.records()
        values = np.broadcast_to(np.float32(value), (len(records), *np.shape(value)))
        return read_particles(self.cs_set(replace_fields(records, {name: values})))

    def stack(self, change: Callable[[Path], object]):
        """A good particle file whose stack is changed afterwards."""
        path = self.star_set()
        change(self.folder / "stack.mrcs")
        return read_particles(path)

    def header(self, order: str = "<", **values):
        """A stack whose header has other values."""

        def change(path: Path) -> None:
            raw = path.read_bytes()
            header = np.frombuffer(raw[:1024], HEADER).copy()
            for name, value in values.items():
                header[name] = value
            path.write_bytes(header.tobytes() + raw[1024:])

        return self.stack(change)

    def volume(self, data: np.ndarray, voxel_size: float = 2.0, box: int | None = None):
        """A map with this content."""
        with mrcfile.new(self.folder / "map.mrc", np.zeros(data.shape, data.dtype)) as mrc:
            mrc.voxel_size = voxel_size
        raw = (self.folder / "map.mrc").read_bytes()[:1024]
        (self.folder / "map.mrc").write_bytes(raw + data.tobytes())
        return read_volume(self.folder / "map.mrc", box)

    def npz(self, **arrays):
        """A label file of these arrays."""
        np.savez(self.folder / "labels.npz", **arrays)
        return read_labels(self.folder / "labels.npz")

    def csv(self, content: str | bytes, **how):
        """A label file of this text."""
        return self.text(content, lambda path: read_labels(path, **how), "labels.csv")


Cases = dict[str, tuple[Callable[[Bench], object], str]]


def assert_one_clear_line(bench: Bench, act: Callable[[Bench], object], pattern: str) -> None:
    """File, place, what was found and what was expected in one line, and nothing left behind."""
    with pytest.raises(InputError) as caught:
        act(bench)
    message = str(caught.value)
    assert re.search(pattern, message), message
    assert "\n" not in message and len(message) < 700
    assert "found" in message and "expected" in message
    leftovers = [path.name for path in bench.folder.iterdir() if ".part" in path.name]
    assert not leftovers and not (bench.folder / "x").exists()
