"""Records of iterations as plain values."""

import json

import pytest

from emjax.classify.em3d.state import IterationRecord, Stage

RECORD = IterationRecord(
    iteration=3,
    stage=Stage.COARSE,
    particles=5,
    log_likelihood=1.5,
    class_similarity=0.25,
    switched=0.4,
    rms_change=0.1,
    class_sizes=(3, 2),
    class_mass=(2.5, 2.5),
    ess_histogram=(5, 0),
    fsc=((1.0, 0.5), (1.0, 0.25)),
)
KEYS = [
    "iteration",
    "stage",
    "particles",
    "log_likelihood",
    "class_similarity",
    "switched",
    "rms_change",
    "class_sizes",
    "class_mass",
    "ess_histogram",
    "fsc",
]


def test_plain_values_are_those_of_metrics_json():
    """Readers of campaigns made before find the same keys in the same order."""
    plain = RECORD.to_dict()
    assert list(plain) == KEYS
    assert type(plain["stage"]) is str and plain["fsc"] == [[1.0, 0.5], [1.0, 0.25]]


@pytest.mark.parametrize("reseeded", [(), (1,)])
def test_a_record_survives_json(reseeded):
    record = IterationRecord(**vars(RECORD) | {"reseeded": reseeded})
    again = IterationRecord.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and again.stage is Stage.COARSE
    assert ("reseeded" in record.to_dict()) == bool(reseeded)
