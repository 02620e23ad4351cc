"""Tables, passthrough files and groups make one set of fields."""

import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields

from emjax.errors import InputError
from emjax.io.particles.particle_set import read_particles, write_particles
from tests.io.particles.same import assert_same_particles


def test_passthrough_is_joined_on_uid_in_the_order_of_the_file(files, cs_set, tmp_path):
    records = files.records()
    own = [n for n in records.dtype.names if n == "uid" or n.startswith("alignments3D")]
    rest = [n for n in records.dtype.names if not n.startswith("alignments3D")]
    whole = read_particles(cs_set(records))
    path = cs_set(repack_fields(records[own]))
    with (tmp_path / "J7_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, repack_fields(records[rest])[::-1])
    with (tmp_path / "J8_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, files.records(seed=9)[rest])
    joined = read_particles(path)
    assert joined.identity.tolist() == whole.identity.tolist()
    assert_same_particles(joined, whole)
    write_particles(tmp_path / "out.cs", joined)
    assert (
        np.load(tmp_path / "out.cs", allow_pickle=False).dtype == repack_fields(records[own]).dtype
    )


def test_groups_name_their_tables(files, cs_set, tmp_path):
    records = files.records()
    path = cs_set(records)
    (tmp_path / "J7_particles.csg").write_text(
        "group: {name: particles}\nresults:\n"
        "  blob: {metafile: '>J7_particles.cs', num_items: 4}\n"
        '  ctf: {metafile: ">J7_particles.cs", num_items: 4}\n'
        "  alignments3D:\n    metafile: J7_particles.cs\n"
    )
    assert_same_particles(read_particles(tmp_path / "J7_particles.csg"), read_particles(path))


def split_job(records, cs_set, tmp_path, rows, names=("alignments3D",)):
    """A job's own table, and a passthrough of some rows with the rest of the fields."""
    own = [n for n in records.dtype.names if n == "uid" or n.startswith(names)]
    rest = [n for n in records.dtype.names if n == "uid" or not n.startswith(names)]
    path = cs_set(repack_fields(records[own]))
    with (tmp_path / "J7_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, repack_fields(records[rest])[rows])
    return path


def test_a_passthrough_that_lacks_particles_is_said_so(files, cs_set, tmp_path):
    path = split_job(files.records(), cs_set, tmp_path, slice(1, None))
    with pytest.raises(InputError, match="J7_passthrough.*found no row of 1 of 4 particles"):
        read_particles(path)
    names = ("alignments3D", "blob", "ctf")
    path = split_job(files.records(), cs_set, tmp_path, slice(1, None), names)
    records = np.load(tmp_path / "J7_passthrough_particles.cs", allow_pickle=False)
    kinds = [("uid", "<u8"), ("location/center_x_frac", "<f4")]
    located = np.zeros(len(records), kinds)
    located["uid"] = records["uid"]
    with (tmp_path / "J7_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, located)
    with pytest.warns(
        UserWarning, match="no row of 1 of 4 particles.*this passthrough file is not"
    ):
        assert read_particles(path).n == 4
