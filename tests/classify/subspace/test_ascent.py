"""The climb that never falls."""

from dataclasses import dataclass

import pytest

from emjax.classify.subspace.ascent import climb


@dataclass(frozen=True)
class Place:
    """A point on −x², and how often it was looked at."""

    x: float

    @property
    def objective(self) -> float:
        return -(self.x**2)


def towards(factor: float, seen: list[float]):
    """Steps of `factor` times the way to the top."""

    def direction(here: Place):
        def at(size: float) -> Place:
            seen.append(size)
            return Place(here.x - size * factor * here.x)

        return at

    return direction


def test_a_step_that_overshoots_is_halved():
    seen: list[float] = []
    last, history = climb(Place(1.0), towards(6.0, seen), 1, 1e-3)
    assert seen == [1.0, 0.5, 0.25]  # to −5, −2 and −0.5
    assert last.x == -0.5 and history == (-1.0, -0.25)


def test_the_objective_never_falls_and_reaches_the_top():
    seen: list[float] = []
    last, history = climb(Place(3.0), towards(1.5, seen), 30, 1e-3)
    assert len(history) == 31 and all(b >= a for a, b in zip(history, history[1:]))
    assert seen == [1.0] * 30 and abs(last.x) < 1e-8


@pytest.mark.parametrize(("smallest", "steps"), [(0.1, 5), (1e-3, 11)])
def test_where_no_step_climbs_it_stays(smallest, steps):
    seen: list[float] = []
    last, history = climb(Place(1.0), towards(-1.0, seen), 7, smallest)
    assert last.x == 1.0 and history == (-1.0,)
    assert len(seen) == steps and seen[-1] < smallest <= seen[-2]


def test_an_objective_that_is_no_number_is_no_climb():
    last, history = climb(Place(1.0), lambda here: lambda size: Place(float("nan")), 3, 0.1)
    assert last.x == 1.0 and len(history) == 1
