"""Whatever the bytes are, readers answer or raise InputError.

EMJAX_FUZZ_EXAMPLES sets the number of inputs a reader (default 100).
"""

import io
import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emjax.errors import InputError
from emjax.io.convert.missing import left_out
from emjax.io.labels.join import join_labels
from emjax.io.labels.read import read_labels
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.columns import replace_fields
from emjax.io.particles.overlaps import overlapping
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.particles.scales import given_scales
from emjax.io.star.tables import StarFile, format_star, make_table, read_star

fuzzed = settings(
    max_examples=int(os.environ.get("EMJAX_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*rlnAmplitudeContrast"),
    pytest.mark.filterwarnings("ignore:.*the particle file is believed"),
]

SPICE = (
    [
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"'",
        b'"',
        b"#",
        b"_",
        b"data_",
        b"loop_",
        b"nan",
        b"1e999",
        b"1e300",
    ]
    + [
        b"-1",
        b"0",
        b"@",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"stop_",
        b";",
        b"9" * 25,
    ]
    + [b"O", b"<f8", b"(3,)", b">", b"'", b"\\", b"..", b"/", b"|V0", b"(", b"{", b"True", b"-"]
)
edits = st.lists(
    st.tuples(
        st.sampled_from(["put", "overwrite", "cut", "end", "double", "flip"]),
        st.integers(0, 1 << 30),
        st.one_of(st.sampled_from(SPICE), st.binary(max_size=8)),
    ),
    max_size=6,
)


def mutated(raw: bytes, changes: list) -> bytes:
    for kind, where, piece in changes:
        i = where % (len(raw) + 1)
        j = i + 1 + where // (len(raw) + 1) % 40
        raw = {
            "put": raw[:i] + piece + raw[i:],
            "overwrite": raw[:i] + piece + raw[i + len(piece) :],
            "cut": raw[:i] + raw[j:],
            "end": raw[:i],
            "double": raw[:j] + raw[i:],
            "flip": raw[:i] + bytes([raw[i] ^ (1 << where % 8)]) + raw[i + 1 :] if raw[i:] else raw,
        }[kind]
    return raw


@pytest.fixture(scope="module")
def folder(tmp_path_factory, files) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    files.stack(folder / "stack.mrcs")
    return folder


def attempt(path: Path, raw: bytes, *actions) -> None:
    """Each action on a file of these bytes: an answer or one line."""
    path.write_bytes(raw)
    for action in actions:
        message = "read"
        try:
            action(path)
        except InputError as error:
            message = str(error)
        assert message and "\n" not in message


def whole_way(path: Path) -> None:
    particles = read_particles(path)
    particles = particles.select(np.arange(min(len(particles), 5)))
    ImageStacks(particles).read(np.arange(len(particles)))
    overlapping(particles)
    for suffix in (".star", ".cs"):
        write_particles(path.with_name(f"written{suffix}"), particles)
        read_particles(path.with_name(f"written{suffix}"))


@fuzzed
@given(edits)
def test_star(folder, files, changes):
    raw = format_star(files.star(files.columns())).encode()
    attempt(folder / "a.star", mutated(raw, changes), read_star, read_labels, whole_way)


@fuzzed
@given(edits)
def test_aberrations_of_star(folder, files, changes):
    optics = files.optics | {
        "rlnBeamTiltX": [0.3], "rlnBeamTiltY": [-0.2], "rlnOddZernike": ["[0,0.1,3,0,0,-2]"],
        "rlnEvenZernike": ["[1,0,2,0.2,0,0,0.1,0,0]"], "rlnMagMat00": [1.01], "rlnMagMat01": [0.0],
        "rlnMagMat10": [0.002], "rlnMagMat11": [0.99], "rlnCtfDataArePhaseFlipped": [1],
    }  # fmt: skip
    own = {"rlnCtfBfactor": [30.0] * 4, "rlnCtfScalefactor": [0.9] * 4, "rlnIsFlip": [0, 1, 0, 1],
           "rlnGroupName": ["a", "a", "b", "b"], "rlnNormCorrection": [0.9, 1, 1.1, 1]}  # fmt: skip
    raw = format_star(files.star(files.columns() | own, optics)).encode()
    attempt(folder / "ab.star", mutated(raw, changes), whole_way, scales, left_out_of)


def scales(path: Path) -> None:
    given_scales(read_particles(path))


def left_out_of(path: Path) -> None:
    left_out(read_particles(path).source)


@fuzzed
@given(edits)
def test_scales_of_a_job(folder, files, changes):
    job = folder / "job"
    job.mkdir(exist_ok=True)
    files.stack(job / "stack.mrcs")
    own = {"rlnGroupNumber": [1, 1, 2, 2]}
    (job / "run_data.star").write_text(format_star(files.star(files.columns() | own)))
    groups = {"rlnGroupNumber": [1, 2], "rlnGroupScaleCorrection": [0.9, 1.1]}
    flags = {"rlnCtfDataArePhaseFlipped": [0], "rlnCtfDataAreCtfPremultiplied": [1]}
    for name, kind, columns in (
        ("run_model.star", "model_groups", groups),
        ("run_optimiser.star", "optimiser_general", flags),
    ):
        whole = format_star(StarFile((make_table(kind, columns),)))
        data = lambda _: scales(job / "run_data.star")  # noqa: E731
        attempt(job / name, mutated(whole.encode(), changes), data)
        (job / name).write_text(whole)


@fuzzed
@given(edits)
def test_aberrations_of_cs(folder, files, changes):
    new = {"ctf/tilt_A": np.ones((4, 2), "<f4"), "ctf/trefoil_A": np.ones((4, 2), "<f4"),
           "ctf/tetra_A": np.ones((4, 4), "<f4"), "ctf/anisomag": np.zeros((4, 4), "<f4"),
           "ctf/bfactor": np.ones(4, "<f4"), "ctf/scale": np.ones(4, "<f4"),
           "alignments3D/alpha": np.ones(4, "<f4")}  # fmt: skip
    stream = io.BytesIO()
    np.save(stream, replace_fields(files.records(), new))
    attempt(folder / "ab.cs", mutated(stream.getvalue(), changes), whole_way, scales, left_out_of)


@fuzzed
@given(edits)
def test_flat_star(folder, files, changes):
    flat = {"rlnVoltage": [300.0] * 4, "rlnSphericalAberration": [2.7] * 4, "rlnImageSize": [8] * 4,
            "rlnMagnification": [10000] * 4, "rlnDetectorPixelSize": [3.0] * 4,
            "rlnClassNumber": [1, 2, 0, 1], "rlnAmplitudeContrast": [0.1] * 4}  # fmt: skip
    raw = format_star(files.star(files.columns() | flat, None)).encode()
    attempt(folder / "flat.star", mutated(raw, changes), read_labels, whole_way)


@fuzzed
@given(edits)
def test_copies_places_and_filaments(folder, files, changes):
    more = {"rlnClassNumber": [1, 2, 0, 1], "rlnHelicalTubeID": [1, 1, 2, 2],
            "rlnCoordinateX": [0.0, 10, 10.5, 30], "rlnCoordinateY": [0.0, 1, 1, 2],
            "rlnImageName": [f"{k}@stack.mrcs" for k in (1, 1, 2, 3)]}  # fmt: skip
    good = folder / "good.star"
    if not good.exists():
        good.write_text(format_star(files.star(files.columns() | more)))
    particles = read_particles(good)
    raw = mutated(good.read_bytes(), changes)
    attempt(folder / "c.star", raw, whole_way, lambda path: join_labels(particles, path))


@fuzzed
@given(st.lists(st.tuples(st.integers(0, 10), st.binary(min_size=1, max_size=4)), max_size=8))
def test_cs_places_filaments_and_class_poses(folder, files, changes):
    old = files.records()
    names = [n for n in old.dtype.names if "alignments3D" not in n]
    kinds = [(n, old.dtype[n]) for n in names] + [
        ("location/micrograph_uid", "<u8"), ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4"),
        ("filament/filament_uid", "<u8"), ("alignments_class_0/pose", "<f4", (3,)),
        ("alignments_class_0/shift", "<f4", (2,)), ("alignments_class_0/class_posterior", "<f4"),
    ]  # fmt: skip
    records = np.zeros(len(old), np.dtype(kinds))
    for name in names:
        records[name] = old[name]
    raw = bytearray(records.tobytes())
    for place, piece in changes:
        at = place * len(raw) // 11
        raw[at : at + len(piece)] = piece
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(bytes(raw[: records.nbytes]), records.dtype))
    attempt(folder / "w.cs", stream.getvalue(), read_labels, whole_way)


@fuzzed
@given(st.binary(max_size=400))
def test_any_bytes(folder, raw):
    attempt(folder / "b.star", raw, read_star, read_labels)
    attempt(folder / "b.cs", raw, read_particles)
    attempt(folder / "b.csg", raw, read_particles)
    attempt(folder / "b.csv", raw, read_labels)
    attempt(folder / "b.npz", raw, read_labels)
    attempt(folder / "b.mrc", raw, read_volume)


@fuzzed
@given(edits)
def test_cs(folder, files, changes):
    stream = io.BytesIO()
    np.save(stream, files.records())
    attempt(folder / "a.cs", mutated(stream.getvalue(), changes), read_labels, whole_way)


@fuzzed
@given(st.lists(st.tuples(st.integers(0, 10), st.binary(min_size=1, max_size=4)), max_size=8))
def test_cs_header_and_values(folder, files, changes):
    records = files.records()
    raw = bytearray(records.tobytes())
    for place, piece in changes:
        at = place * len(raw) // 11
        raw[at : at + len(piece)] = piece
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(bytes(raw[: records.nbytes]), records.dtype))
    attempt(folder / "v.cs", stream.getvalue(), read_labels, whole_way)


@fuzzed
@given(edits)
def test_map(folder, changes):
    if not (folder / "good.mrc").exists():
        with mrcfile.new(folder / "good.mrc", np.ones((6, 6, 6), np.float32)) as mrc:
            mrc.voxel_size = 2.0
    raw = (folder / "good.mrc").read_bytes()
    small = [(kind, where % 1200, piece) for kind, where, piece in changes]
    attempt(folder / "m.mrc", mutated(raw, small), read_volume)


@fuzzed
@given(edits)
def test_stack(folder, files, changes):
    raw = (folder / "stack.mrcs").read_bytes()
    own = folder / "own"
    own.mkdir(exist_ok=True)
    (own / "p.star").write_text(format_star(files.star(files.columns())))
    small = [(kind, where % 1200, piece) for kind, where, piece in changes]
    attempt(own / "stack.mrcs", mutated(raw, small), lambda _: whole_way(own / "p.star"))


@fuzzed
@given(edits)
def test_label_tables(folder, changes):
    raw = b'image,class\n000001@stack.mrcs,1\n2@x.mrcs,2\n"3,3",0\n'
    attempt(folder / "l.csv", mutated(raw, changes), read_labels)
    stream = io.BytesIO()
    np.savez(stream, identity=["a", "b"], labels=[0, 1], posteriors=np.eye(2))
    attempt(folder / "l.npz", mutated(stream.getvalue(), changes), read_labels)
