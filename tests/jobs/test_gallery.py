"""Which particles are shown, and what is written of them."""

import numpy as np

from emjax.jobs.gallery import EACH, MOST_TYPICAL, choose_particles


def planted(n_classes: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit, class and reason: junk below 10, pose below 20, between among the others."""
    rng = np.random.default_rng(n_classes)
    reasons = np.full(n, "none", "U7")
    reasons[:50], reasons[50:53], reasons[60:70] = "junk", "pose", "between"
    fit = np.where(reasons == "junk", rng.uniform(0, 10, n), rng.uniform(30, 200, n))
    fit[50:53] = [20, 12, 15]
    classes = np.where(reasons == "none", 1 + np.arange(n) % n_classes, 0)
    return fit, classes, reasons


def test_each_reason_is_shown_from_its_worst_to_its_best():
    fit, classes, reasons = planted(3)
    chosen = choose_particles(fit, classes, reasons)
    shown = {
        reason: [row for group, row in chosen if group == reason]
        for reason in ("junk", "pose", "between")
    }
    for reason, rows in shown.items():
        assert (reasons[rows] == reason).all() and (np.diff(fit[rows]) > 0).all()
        own = fit[reasons == reason]
        assert fit[rows[0]] == own.min() and fit[rows[-1]] == own.max()
    assert [len(rows) for rows in shown.values()] == [EACH, 3, EACH]
    assert shown["pose"] == [51, 52, 50]


def test_kept_particles_are_those_that_fit_least_and_the_medians_of_all_classes():
    for n_classes, n_typical in ((1, EACH), (4, EACH), (9, 9), (20, MOST_TYPICAL)):
        fit, classes, reasons = planted(n_classes)
        chosen = choose_particles(fit, classes, reasons)
        least = [row for group, row in chosen if group == "least"]
        kept = np.flatnonzero(classes)
        assert least == kept[np.argsort(fit[kept])][:EACH].tolist()
        typical = [row for group, row in chosen if group == "typical"]
        assert len(set(typical)) == n_typical and not set(typical) & set(least)
        assert len(np.unique(classes[typical])) == min(n_classes, n_typical)
        for c in np.unique(classes[typical]):
            rest = np.setdiff1d(np.flatnonzero(classes == c), least)
            distance = np.abs(fit[rest] - np.median(fit[rest]))
            own = [row for row in typical if classes[row] == c]
            assert distance.min() in np.abs(fit[own] - np.median(fit[rest]))
    assert choose_particles(fit, classes, reasons) == chosen


def test_nobody_set_aside_leaves_the_kept_ones():
    chosen = choose_particles(np.arange(9.0), np.ones(9, int), np.full(9, "none"))
    assert [group for group, _ in chosen] == ["least"] * 6 + ["typical"] * 3
