"""Calibration of scores: the mixture, the false-discovery rate, and what cannot be told apart."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.classify.calibration import (
    SEPARATED,
    Calibration,
    Normal,
    Signal,
    calibrate,
    within_rate,
)

DECOYS = Normal(1.0, 1.0)


def draw(n: int, unfit: float, strength: float = 9.0, seed: int = 0, lifted: float = 0.5):
    """Scores of which a share fits nothing, which do not, and scores of decoys.

    What fits nothing scores a little more than decoys do, as after a refinement.
    """
    rng = np.random.default_rng(seed)
    none = rng.random(n) < unfit
    signal = strength * np.exp(rng.normal(0, 0.2, n)) + rng.normal(size=n)
    score = np.where(none, rng.normal(1 + lifted, 1, n), signal)
    return score, none, rng.normal(DECOYS.mean, DECOYS.sd, 20_000)


@pytest.mark.parametrize("law", [Normal(1.0, 0.7), Signal(6.0, 1.5), Signal(3.0, 1.0)])
def test_densities_have_the_mean_and_width_that_they_say(law):
    x = np.linspace(-10, 40, 20_001)
    density = law.density(x) * (x[1] - x[0])
    assert density.sum() == pytest.approx(1, abs=1e-6)
    assert density @ x == pytest.approx(law.mean, rel=0.01)
    width = np.sqrt(density @ (x - law.mean) ** 2)
    # 64 quantiles leave out the ends of the log-normal distribution.
    assert width == pytest.approx(law.sd, rel=0.02)


def test_separation_is_ashmans():
    assert Normal(0.0, 1.0).separation(Normal(3.0, 1.0)) == pytest.approx(3)
    assert Normal(5.0, 3.0).separation(Normal(0.0, 4.0)) == pytest.approx(5 / np.sqrt(12.5))


@pytest.mark.parametrize("unfit", [0.0, 0.05, 0.3])
def test_the_share_of_what_fits_nothing_is_found(unfit):
    score, none, decoys = draw(6000, unfit)
    found = calibrate(score, decoys)
    assert found.separated
    assert found.share == pytest.approx(none.mean(), abs=0.005)
    assert found.fit.mean == pytest.approx(score[~none].mean(), rel=0.02)
    assert found.decoys.mean == pytest.approx(DECOYS.mean, abs=0.05)
    if unfit:
        assert found.unfit.mean == pytest.approx(score[none].mean(), abs=0.2)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("strength", [5.0, 6.0, 9.0])
def test_the_rate_holds(rate, strength):
    """Over 20 draws, so that a sample's chance is small beside the rate."""
    wrong, chosen, junk = 0, 0, 0
    for seed in range(20):
        score, none, decoys = draw(4000, 0.1, strength, seed)
        aside = within_rate(calibrate(score, decoys).probability(score), rate)
        wrong += int((aside & ~none).sum())
        chosen += int(aside.sum())
        junk += int(none.sum())
    # The mixture is a model: a fifth of the rate, and two standard errors of what is drawn.
    assert wrong <= 1.2 * rate * chosen + 2 * np.sqrt(rate * chosen)
    # A rate kept by setting nearly none aside would be no use; where the two meet, few are.
    if strength == 9.0:
        assert chosen - wrong > 0.9 * junk


@pytest.mark.parametrize("unfit", [0.0, 0.1, 0.5])
def test_none_is_set_aside_where_the_two_overlap(unfit):
    score, _, decoys = draw(4000, unfit, strength=2.2)
    found = calibrate(score, decoys)
    assert not found.separated and found.separation < SEPARATED
    assert found.share == 0
    np.testing.assert_array_equal(found.probability(score), 1)
    assert not within_rate(found.probability(score), 0.05).any()


def test_a_set_without_outliers_loses_next_to_none():
    lost = 0
    for seed in range(10):
        score, _, decoys = draw(5000, 0, seed=seed)
        lost += int(within_rate(calibrate(score, decoys).probability(score), 0.05).sum())
    assert lost <= 0.001 * 50_000


def test_a_state_of_weak_particles_is_not_taken_for_junk():
    """3 % whose signal is three quarters of the others'."""
    score, none, decoys = draw(6000, 0.06)
    rng = np.random.default_rng(1)
    weak = ~none & (rng.random(6000) < 0.03)
    score = np.where(weak, score * 0.75, score)
    aside = within_rate(calibrate(score, decoys).probability(score), 0.05)
    assert aside[none].mean() > 0.97
    assert aside[weak].mean() < 0.05


@given(
    st.lists(st.floats(-20, 60), min_size=2, max_size=40),
    st.floats(0.01, 0.9),
    st.floats(0.3, 2),
    st.floats(1, 5),
)
@settings(deadline=None)
def test_the_probability_rises_with_the_score(scores, share, unfit_sd, fit_sd):
    law = Calibration(Normal(1.5, unfit_sd), Signal(12.0, fit_sd), DECOYS, share, 3.0)
    found = law.probability(np.sort(np.array(scores)))
    assert (np.diff(found) >= -1e-9).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_a_known_signal_is_kept():
    score, _, decoys = draw(3000, 0.2)
    known = Signal(9.5, 2.0)
    found = calibrate(score[:40], decoys, known)
    assert found.fit == known
    assert found.separated


def test_the_order_and_number_of_the_scores_change_little():
    score, _, decoys = draw(4000, 0.1)
    one = calibrate(score, decoys)
    other = calibrate(np.concatenate([score, score])[::-1], decoys)
    assert other.share == pytest.approx(one.share, abs=1e-4)
    assert other.unfit.mean == pytest.approx(one.unfit.mean, abs=1e-3)


def test_a_rate_of_zero_sets_none_aside():
    assert not within_rate(np.zeros(5), 0.0).any()


def test_the_most_that_the_rate_allows_are_set_aside():
    probability = np.array([0.9, 0.0, 0.15, 0.0, 0.9])
    # Expected fractions: 0, 0, 0.05, 0.2625.
    np.testing.assert_array_equal(within_rate(probability, 0.051), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(within_rate(probability, 0.049), [0, 1, 0, 1, 0])
    # What more probably fits than not stays, however much the rate allows.
    np.testing.assert_array_equal(within_rate(probability, 0.5), [0, 1, 1, 1, 0])


def test_of_no_particle_none_is_set_aside():
    assert within_rate(np.zeros(0), 0.05).shape == (0,)


def test_a_single_particle_is_kept():
    found = calibrate(np.array([9.0]), np.random.default_rng(0).normal(1, 1, 1000))
    assert not within_rate(found.probability(np.array([9.0])), 0.05).any()


@pytest.mark.parametrize("level", [0.0, 1.0, 9.0])
def test_equal_scores_are_all_kept(level):
    score = np.full(50, level)
    found = calibrate(score, np.full(1000, level))
    assert not within_rate(found.probability(score), 0.05).any()


def test_the_record_is_plain_numbers():
    score, _, decoys = draw(500, 0.1)
    found = calibrate(score, decoys)
    record = json.loads(json.dumps(found.record()))
    assert record["separated"] is True
    assert record["share"] == found.share and record["unfit"]["mean"] == found.unfit.mean
