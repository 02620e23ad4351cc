"""The audit: silent on classes independent of the nuisances, loud on classes made of one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial.transform import Rotation

from emjax.audit.confounders import (
    audit_classes,
    audit_confounders,
    audit_movement,
    audit_scale,
)


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


def blob(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A ball of random density, and its mask."""
    ball = (((np.indices((24, 24, 24)) - 12) ** 2).sum(axis=0) < 81).astype(float)
    return gaussian_filter(ball * rng.random(ball.shape), 1.2), ball


def test_movement_is_told_from_a_missing_part():
    mean, ball = blob(np.random.default_rng(3))
    part = np.zeros_like(mean)
    part[14:17, 10:13, 14:17] = 0.3
    labels = np.repeat([0, 1], 50)
    moved = np.stack([shift(mean, (0.2, -0.1, 0.1)), shift(mean, (-0.2, 0.1, -0.1))])
    state = np.stack([mean - gaussian_filter(part, 1.0), mean * 0.9])
    assert audit_movement(labels, moved, ball)["flag"].all()
    assert not audit_movement(labels, state, ball)["flag"].any()
    # What all classes have in common, such as a filter of their maps, is no difference.
    assert audit_movement(labels, gaussian_filter(moved, (0, 1, 1, 1)), ball)["flag"].all()


def test_weaker_images_are_told_from_a_missing_part():
    rng = np.random.default_rng(4)
    full, ball = blob(rng)
    part = np.zeros_like(full)
    part[14:19, 9:14, 14:19] = full[14:19, 9:14, 14:19]
    labels = np.repeat([0, 1], 1000)
    scale = np.where(labels == 0, 1.05, 0.95) + 0.05 * rng.standard_normal(2000)
    known = {"optics group": np.ones(2000, dtype=int)}
    for maps, expected in (
        # The same molecule, imaged weaker: its map comes out alike, its images do not.
        (np.stack([full, full]), True),
        # A part is missing, so that the images fit the mean map with a smaller scale.
        (np.stack([full / 1.05, (full - part) / 0.95]), False),
    ):
        audit = audit_classes(labels, known, scale, maps, ball, rng)
        own = audit["nuisance"] == "grey scale"
        assert (audit["q_value"][own] < 1e-6).all()
        assert (audit["flag"][own] == expected).all()
        assert "optics group" not in audit["nuisance"]  # all the same


def test_no_grey_scale_is_flagged_where_it_does_not_go_with_the_class():
    rng = np.random.default_rng(5)
    full, ball = blob(rng)
    labels = rng.integers(-1, 2, 1000)
    audit = audit_scale(labels, rng.lognormal(size=1000), np.stack([full, full * 0.9]), ball)
    assert not audit["flag"].any()
    assert (audit["q_value"] > 0.05).all()
    # One class, or a class without particles, is no trouble.
    one = audit_scale(np.zeros(10, dtype=int), np.ones(10), full[None], ball)
    assert not one["flag"].any() and (one["effect_size"] == 0).all()
    audit_scale(np.zeros(10, dtype=int), np.ones(10), np.stack([full, full]), ball)
