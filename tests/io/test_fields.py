"""One table of fields: every row goes there and back in both programs, and knows what cannot be."""

import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.errors import InputError
from emjax.io.codecs import CsColumn, StarColumns
from emjax.io.convert.translate import cs_from_star, star_from_cs
from emjax.io.cryosparc.fields import cryosparc_fields
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.fields import CTF, FIELDS, Field, check_ranges
from emjax.io.star.fields import relion_fields

N = 5
BOTH = [name for name, field in FIELDS.items() if field.star and field.cs]


def plausible(field: Field) -> np.ndarray:
    """Random values that a microscope might give."""
    rng = np.random.default_rng(len(field.name))
    if field.name == "rotations":
        return Rotation.random(N, random_state=0).as_matrix()
    if field.name == "contrast":
        return rng.choice([-1, 1], N)
    if field.dtype[0] == "i" or field.name == "class_number":
        return rng.integers(1, 3, N)
    if field.period is not None:
        return rng.uniform(0, field.period, N)
    low, high = (field.range.lowest, field.range.highest) if field.range else (0, 1)
    shape = (N, 2) if field.name == "shifts" else (N,)
    return rng.uniform(max(low, -30), min(high, 300), shape)


def test_the_names_are_those_of_the_rows():
    assert all(name == field.name for name, field in FIELDS.items())
    labels = [label for field in FIELDS.values() if field.star for label in field.star.labels]
    columns = [field.cs.name for field in FIELDS.values() if field.cs]
    assert len(set(labels)) == len(labels) and len(set(columns)) == len(columns)
    assert {"defocus_u", "defocus_angle", "phase_shift", "voltage"} <= {f.name for f in CTF}


@pytest.mark.parametrize("name", BOTH)
def test_a_field_survives_either_program(name):
    field = FIELDS[name]
    values, others = plausible(field), {"image_pixel_size": np.full(N, 1.7)}
    stored = field.cs.encode(values, others)
    assert stored.dtype == np.dtype(field.cs.dtype) and len(stored) == N
    assert stored.shape[1:] == (() if field.cs.width is None else (field.cs.width,))
    columns = field.star.encode(values, others)
    assert tuple(columns) == field.star.labels
    written = np.stack([np.asarray(c, np.float64) for c in columns.values()], axis=1)
    written = written[:, 0] if written.shape[1] == 1 else written
    for again in (
        field.cs.decode(stored.astype(np.float64), others),
        field.star.codec.decode(written, others),
    ):
        assert not field.differs(values, again).any()
        assert again.shape == values.shape


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if f.tolerance is not None])
def test_a_change_beyond_the_tolerance_is_seen(name):
    field = FIELDS[name]
    values = np.asarray(plausible(field) if name in BOTH else np.arange(N), np.float64)
    changed = values.copy()
    changed[2] += 1.5 * field.tolerance + (field.tolerance == 0)
    assert field.differs(values, changed).tolist() == [False, False, True, False, False]
    if field.period is not None:
        assert not field.differs(values, values + field.period).any()


def test_what_a_file_leaves_out_is_its_usual_value():
    halves = np.array([0, 1, 2, 0, 0])
    assert FIELDS["half"].differs(None, halves).tolist() == [False, True, True, False, False]
    assert not FIELDS["posterior"].differs(None, np.ones(3)).any()


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if f.range])
def test_values_out_of_range_are_refused_with_their_row(name):
    field = FIELDS[name]
    good = np.full(N, np.clip(1.0, field.range.lowest, field.range.highest))
    for wrong in (field.range.lowest - 1, field.range.highest * 2 + 1, np.nan):
        bad = good.copy()
        bad[3] = wrong
        meaning = re.escape(field.range.meaning)
        with pytest.raises(InputError, match=f"a.star: row 4: found .*, expected {meaning}"):
            field.check(bad, "a.star", lambda row: f"row {row + 1}")
    field.check(good, "a.star", str)
    field.check(np.zeros((0, 2)), "a.star", str)


def test_ranges_are_checked_of_every_field_that_is_there():
    with pytest.raises(InputError, match="row 0, voltage: found 1"):
        check_ranges({"voltage": np.ones(2), "unknown": np.ones(2)}, "a.star", lambda r: f"row {r}")
    check_ranges({"image_box_size": np.zeros(2)}, "a.star", str)


def test_a_new_row_is_read_translated_and_written(files, monkeypatch):
    """What both programs have needs nothing but its row."""
    row = Field(
        "dose",
        "e/Å²",
        StarColumns(("labDose",), required=False),
        CsColumn("ctf/lab_dose", required=False),
        tolerance=1e-4,
        absent=0.0,
        optional=True,
    )
    monkeypatch.setitem(FIELDS, "dose", row)
    for module in ("emjax.io.star.fields", "emjax.io.cryosparc.fields"):
        monkeypatch.setattr(f"{module}.CTF", (*CTF, row))
    records = files.records()
    plain = star_from_cs(CsParticles("a.cs", records))
    assert "labDose" not in plain.particles  # nothing to say
    with_dose = plain.with_particles(
        plain.particles.with_columns({"labDose": np.array([10.0, 20, 30, 40])})
    )
    assert relion_fields(with_dose)["dose"].tolist() == [10, 20, 30, 40]
    there = cs_from_star(with_dose)
    assert there["ctf/lab_dose"].tolist() == [10, 20, 30, 40]
    assert cryosparc_fields(there)["dose"].tolist() == [10, 20, 30, 40]
    assert star_from_cs(there).particles.numbers("labDose").tolist() == [10, 20, 30, 40]
