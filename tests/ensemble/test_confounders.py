"""The audit: silent on classes independent of the nuisances, loud on classes made of one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial.transform import Rotation

from emjax.ensemble.confounders import audit_confounders, audit_movement


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
        audit = audit_confounders(
            rng.choice(3, 1200, p=[0.6, 0.3, 0.1]), draw_nuisances(1200, rng), rng
        )
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
    audit = audit_confounders(labels, nuisances, rng)
    told = "viewing direction" if name == "rotations" else name
    assert audit["flag"][audit["nuisance"] == told].all()
    assert not audit["flag"][audit["nuisance"] != told].any()


def test_unassigned_particles_and_no_nuisance_are_no_trouble():
    rng = np.random.default_rng(2)
    audit = audit_confounders(np.full(50, -1), draw_nuisances(50, rng), rng)
    assert len(audit["class"]) == 0
    assert len(audit_confounders(np.zeros(5, dtype=int), {}, rng)["class"]) == 0
    one = audit_confounders(np.zeros(50, dtype=int), draw_nuisances(50, rng), rng)
    assert not one["flag"].any()


def test_movement_is_told_from_a_missing_part():
    rng = np.random.default_rng(3)
    ball = (((np.indices((24, 24, 24)) - 12) ** 2).sum(axis=0) < 81).astype(float)
    mean = gaussian_filter(ball * rng.random(ball.shape), 1.2)
    part = np.zeros_like(mean)
    part[14:17, 10:13, 14:17] = 1.0
    moved = np.stack([shift(mean, (0.2, -0.1, 0.1)), shift(mean, (-0.2, 0.1, -0.1))])
    state = np.stack([mean - gaussian_filter(part, 1.0) * 0.3, mean * 0.9])
    assert audit_movement(moved, mean, ball)["flag"].all()
    assert not audit_movement(state, mean, ball)["flag"].any()
