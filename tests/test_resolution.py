"""Resolution by the Fourier shell correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.resolution import lowpass_weights, resolution_at


def test_resolution_between_shells():
    fsc = np.array([1, 1, 0.8, 0.4, 0.0, 0.9])
    assert resolution_at(fsc, 100.0, 0.5) == pytest.approx(100 / 2.75)
    assert resolution_at(fsc, 100.0, 0.143) == pytest.approx(100 / (3 + (0.4 - 0.143) / 0.4))
    assert resolution_at(np.ones(6), 100.0) == 20
    assert resolution_at(np.array([1.0, 0.0, 0.0]), 100.0) == 100


def test_a_curve_on_the_threshold_has_not_fallen():
    assert resolution_at(np.array([1, 0.5, 0.143, 0.0]), 100.0) == pytest.approx(50)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(10, 1000))
def test_a_number_between_the_box_and_the_finest_shell(values, extent):
    found = resolution_at(np.array([1.0, *values]), extent)
    assert extent / len(values) * (1 - 1e-12) <= found <= extent


@pytest.mark.parametrize("edge", [0.0, 0.3])
def test_the_filter_keeps_what_is_coarser_and_nothing_beyond_its_edge(edge):
    frequency = np.linspace(0, 2, 2001)
    weights = lowpass_weights(frequency, 0.8, edge)
    assert (weights[frequency <= 0.8] == 1).all()
    assert (weights[frequency > 0.8 * (1 + edge) + 1e-9] == 0).all()
    assert (np.diff(weights) <= 0).all()
    if edge:
        assert weights[np.argmin(abs(frequency - 0.92))] == pytest.approx(0.5, abs=1e-6)
