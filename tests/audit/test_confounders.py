"""The audit: silent on classes independent of the nuisances, loud on classes made of one."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.audit.confounders import (
    Audited,
    audit_classes,
    audit_classifications,
    audit_confounders,
    describe_flags,
    known_nuisances,
    run_to_audit,
)
from tests.audit.molecule import draw_molecule


def draw_nuisances(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "rotations": Rotation.random(n, random_state=int(rng.integers(2**31))).as_matrix(),
        "shifts": rng.normal(size=(n, 2)),
        "defocus_u": rng.uniform(8000, 25000, n),
        "scale": rng.lognormal(size=n),
        "optics_group": rng.integers(1, 4, n),
        "micrograph": rng.integers(0, 100, n).astype(str),
    }


def test_independent_classes_raise_no_flag():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(8):
        audit = audit_confounders(rng.choice(3, 1200, p=[0.6, 0.3, 0.1]), draw_nuisances(1200, rng))
        assert not audit["flag"].any()
        p_values.append(audit["p_value"])
    # 144 p-values, 5 % expected below 0.05; 15 % is beyond three standard errors.
    assert np.mean(np.concatenate(p_values) < 0.05) < 0.15


@pytest.mark.parametrize(
    "name", ["rotations", "shifts", "defocus_u", "scale", "optics_group", "micrograph"]
)
def test_a_class_made_of_a_nuisance_is_flagged(name):
    rng = np.random.default_rng(1)
    nuisances = draw_nuisances(2000, rng)
    values = nuisances[name]
    side = {
        "rotations": lambda: np.abs(values[:, 2, 2]) > 0.5,
        "shifts": lambda: values[:, 0] > 0,
        "micrograph": lambda: values.astype(int) % 2 == 0,
        "optics_group": lambda: values == 2,
    }.get(name, lambda: np.abs(values - np.median(values)) > values.std() / 2)()
    labels = np.where(rng.random(2000) < 0.4, rng.integers(0, 2, 2000), side.astype(int))
    audit = audit_confounders(labels, nuisances)
    own = audit["nuisance"] == ("viewing direction" if name == "rotations" else name)
    assert own.any() and audit["flag"][own].all()
    assert not audit["flag"][~own].any()


def test_unassigned_particles_and_no_nuisance_are_no_trouble():
    rng = np.random.default_rng(2)
    audit = audit_confounders(np.full(50, -1), draw_nuisances(50, rng))
    assert len(audit["class"]) == 0
    assert len(audit_confounders(np.zeros(5, dtype=int), {})["class"]) == 0
    one = audit_confounders(np.zeros(50, dtype=int), draw_nuisances(50, rng))
    assert not one["flag"].any()


def test_defocus_and_astigmatism_are_nuisances():
    u, v = np.array([2.0, 4.0]), np.array([1.0, 5.0])
    known = known_nuisances(np.zeros((2, 3, 3)), np.zeros((2, 2)), u, v, np.ones(2))
    assert known["defocus"].tolist() == [1.5, 4.5] and known["astigmatism"].tolist() == [1, -1]
    assert "micrograph" not in known


def test_the_best_run_is_one_of_the_first_method():
    runs, methods = ["a", "b", "c", "d"], ["som", "em3d", "em3d", "em3d"]
    fit = np.array([9.0, np.nan, 1.0, 2.0])
    assert run_to_audit(runs, methods, fit) == "d"
    assert run_to_audit(runs[:2], methods[:2], fit[:2]) == "b"
    assert run_to_audit(runs, methods, fit, first="som") == "a"
    assert run_to_audit([], [], fit[:0]) is None


def test_each_classification_is_audited_under_its_name():
    rng = np.random.default_rng(6)
    volume, mask = draw_molecule(rng)
    labels = rng.integers(0, 2, 300)
    audited = {
        "": Audited(np.zeros(300, int), [volume]),
        "em3d-K02-s000": Audited(labels, [volume, 0.9 * volume]),
    }
    known = {"defocus": labels + 0.1 * rng.random(300)}
    table = audit_classifications(audited, known, np.ones(300), mask)
    assert set(table["class"]) == {"1", "em3d-K02-s000.1", "em3d-K02-s000.2"}
    own = audit_classes(audited["em3d-K02-s000"], known, np.ones(300), mask)
    # Three nuisances of one class, then those of two.
    np.testing.assert_array_equal(table["effect_size"][3:], own["effect_size"])
    said = list(describe_flags(table))
    assert said[0] == "class em3d-K02-s000.1 correlates with defocus (effect 0.87)"
    assert list(describe_flags({"flag": np.zeros(3, bool)})) == ["no class follows a nuisance"]
