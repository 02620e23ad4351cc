"""What ended each run, and whether it had settled."""

from typing import NamedTuple

import numpy as np

from emjax.report.campaign import Campaign
from emjax.report.figure import plural


def history(metrics: dict) -> list[dict]:
    """The iterations of a run as metrics.json has them."""
    value = metrics.get("history")
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def of_stage(rows: list[dict], stage: str) -> list[dict]:
    """The iterations of a stage: online, coarse, full or last."""
    return [r for r in rows if r.get("stage") == stage]


def has_coarse(rows: list[dict]) -> bool:
    """Whether some iterations left the finest frequencies out."""
    return bool(of_stage(rows, "coarse"))


class Ending(NamedTuple):
    """What ended a run's search, and where that left it (the last iterations do not search)."""

    by: str  # switched, change or limit
    switched: float  # fraction of the particles that changed class in the last iteration
    change: float  # mean change of the maps over the last two, as the criterion takes it
    gain: float  # log-likelihood per particle in the last iteration; NaN where not comparable
    limits: tuple[float, float]  # switch_convergence and rms_convergence

    @property
    def settled(self) -> bool:
        """Whether all criteria that are on are met."""
        pairs = zip((self.switched, self.change), self.limits, strict=True)
        return all(value < limit for value, limit in pairs if limit)


def ending(metrics: dict) -> Ending | None:
    """How a run of em3d ended; None for runs without such iterations or criteria."""
    rows = [r for r in history(metrics) if r.get("stage") != "last"]
    options = metrics.get("options") or {}
    limits = tuple(float(options.get(f"{n}_convergence") or 0) for n in ("switch", "rms"))
    if len(rows) < 2 or not any(limits) or "switched" not in rows[-1]:
        return None
    last = rows[-1]
    same = [r for r in rows[-2:] if r.get("stage") == last.get("stage")]
    change = float(np.mean([r.get("rms_change", np.nan) for r in same]))
    gain = np.nan
    if len(same) == 2:
        gain = float(last["log_likelihood"]) - float(same[0]["log_likelihood"])
    switched = float(last["switched"])
    by = "limit"
    if metrics.get("converged"):
        by = "switched" if switched < limits[0] else "change"
    return Ending(by, switched, change, gain, (limits[0], limits[1]))


def ended_by(metrics: dict) -> str:
    """What ended a run, in the table of runs."""
    found = ending(metrics)
    if found is None:
        return {True: "converged", False: "not converged"}.get(metrics.get("converged"), "")  # type: ignore[arg-type]
    if found.by == "limit":
        return f"all {metrics.get('iterations', len(history(metrics)))} iterations"
    if found.by == "switched":
        return f"{100 * found.switched:.1f} % changed class"
    return f"maps changed {100 * found.change:.1f} %, {100 * found.switched:.1f} % changed class"


def endings_sentence(campaign: Campaign) -> str:
    """How many runs settled, and what stopped the others; empty where no run has criteria."""
    found = [e for e in map(ending, campaign.listed_metrics()) if e is not None]
    if not found:
        return ""
    switch, rms = (100 * max(e.limits[i] for e in found) for i in (0, 1))
    settled = [e for e in found if e.by != "limit" and e.settled]
    by_maps = [e for e in found if e.by == "change" and not e.settled]
    by_switched = [e for e in found if e.by == "switched" and not e.settled]
    late = [e for e in found if e.by == "limit"]
    parts = [f"{len(settled)} of {plural(len(found), 'run')} settled"]
    if settled:
        both = [f"under {switch:g} % of the particles changed class"] * (switch > 0)
        both += [f"the maps changed by under {rms:g} %"] * (rms > 0)
        parts[0] += f" ({', '.join(both)})"
    if by_switched:
        most = 100 * max(e.change for e in by_switched)
        parts.append(
            f"{_stopped(by_switched)} by the first of these while the maps changed by up to "
            f"{most:.1f} %"
            if settled
            else f"{_stopped(by_switched)} as under {switch:g} % of the particles changed class, "
            f"while the maps changed by up to {most:.1f} %"
        )
    if by_maps:
        most = 100 * max(e.switched for e in by_maps)
        parts.append(
            f"{_stopped(by_maps)} as the maps changed by under {rms:g} %, while up to {most:.1f} % "
            "of the particles changed class"
        )
    if late:
        parts.append(f"{len(late)} ran out of iterations")
    return "; ".join(parts)


def _stopped(endings: list[Ending]) -> str:
    return f"{len(endings)} {'was' if len(endings) == 1 else 'were'} stopped"
