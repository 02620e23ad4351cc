"""Tables, passthrough files and groups make one set of fields."""

import numpy as np
from numpy.lib.recfunctions import repack_fields

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
