"""How many classes: the cost of merging, the tree of groups with its cut, the rules' numbers."""

import re
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list

from emjax.consensus.tree import cut_tree
from emjax.report.campaign import Campaign
from emjax.report.columns import column, numbers, truths
from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import Chart, colour, number, small, ticks

RULES = {
    "profile_likelihood": "Where the costs split best into two populations.",
    "origin": "The point of the scaled cost curve nearest to its corner.",
    "distance_line": "The point farthest from the chord between the curve's ends.",
    "slope": "Where the curve becomes flatter than its average.",
    "coss_angle": "The sharpest bend of the older cost from entropy and similarity (COSS).",
    "coss_profile_likelihood": "Profile likelihood of the older cost (COSS).",
}
PLOT: dict[str, Any] = {"width": 960, "height": 380, "bottom": 92, "top": 14}
MOST_POINTS = 40  # of the cost curve: nobody reads a choice beyond this many classes


def rules(elbows: dict) -> dict[str, int]:
    """The elbow rules' numbers by name, wherever elbows.json holds them."""
    return {name: int(elbows[name]) for name in RULES if isinstance(elbows.get(name), int)}


def chosen_number(campaign: Campaign) -> int:
    """Number of classes the consensus was written with."""
    value = campaign.elbows.get("chosen")
    if isinstance(value, int):
        return value
    return len(campaign.class_numbers) or int(campaign.elbows.get("recommended", 1) or 1)


def recommended_number(campaign: Campaign) -> int:
    """Number of classes the consensus recommends."""
    value = campaign.elbows.get("recommended")
    return value if isinstance(value, int) else chosen_number(campaign)


def why_heading(campaign: Campaign) -> str:
    """What the reasons speak for: the classes in use, or others than the user asked for."""
    chosen, best = chosen_number(campaign), recommended_number(campaign)
    name = plural(best, "class", "classes")
    return f"Why {name}" if chosen == best else f"Why {name} would be recommended ({chosen} in use)"


def spaced(words: str) -> str:
    """A sentence of the consensus with a space before each per cent sign, as the page writes it."""
    return re.sub(r"(?<=\d)%", "\N{NO-BREAK SPACE}%", str(words))


def reasons(elbows: dict) -> list[str]:
    """Why, in the consensus's own sentences, and how sure the number is."""
    found = [spaced(elbows["why"])] if "why" in elbows else []
    low, high = elbows.get("recommended_low"), elbows.get("recommended_high")
    if isinstance(low, int) and isinstance(high, int) and low < high:
        found.append(
            f"Resampling runs and particles gives {low} to {high} classes (90 % interval)."
        )
    return found


def leaves(campaign: Campaign) -> pd.DataFrame | None:
    """The groups at the tree's leaves, in the tree's order; None where they do not fit."""
    tree, table = campaign.linkage, campaign.intersections
    if tree is None or table.empty:
        return None
    if "kept" in table:
        table = table.loc[truths(table, "kept")]
    return table.reset_index(drop=True) if len(table) == len(tree) + 1 else None


def cost_figure(campaign: Campaign) -> Figure | None:
    """Cost of each further merge against the number of classes left."""
    tree = campaign.linkage
    if tree is None or not len(tree):
        return None
    costs = tree[::-1, 2]  # costs[j]: going from j + 2 classes to j + 1
    numbers = np.arange(1, len(costs) + 1)
    shown = slice(0, MOST_POINTS)
    chosen, best = chosen_number(campaign), recommended_number(campaign)
    top = float(costs[shown].max()) or 1.0
    chart = Chart((0.5, numbers[shown][-1] + 0.5), (0, top * 1.06), label="Cost of merging")
    whole = [t for t in ticks(1, float(numbers[shown][-1]), 6) if t == int(t)]
    chart.axes("classes left after the merge", "cost of the merge", [(t, number(t)) for t in whole])
    chart.line(numbers[shown].tolist(), costs[shown].tolist())
    for n, cost in zip(numbers[shown], costs[shown], strict=True):
        chart.dot(n, cost, f"Merging {n + 1} classes into {n} costs {number(cost)}")
    if best <= numbers[shown][-1]:
        chart.rule(x=best, name=f"{best} recommended")
    if chosen != best and chosen <= numbers[shown][-1]:
        chart.rule(x=chosen, name=f"{chosen} used", lift=24)
    if 1 < best <= len(costs):
        title = (
            f"Merging {plural(best, 'class', 'classes')} into {best - 1} costs "
            f"{costs[best - 2]:.2f}, {best + 1} into {best} {costs[best - 1]:.2f}"
        )
    else:
        title = f"{plural(best, 'class', 'classes')} recommended: what merging costs"
    return Figure(
        "cost-curve",
        title,
        chart.svg(),
        "Reading from the right: groups that the runs keep together merge cheaply; a merge that "
        "costs much more than the one before joins groups that the runs keep apart."
        + (f" {chosen} are in use, as you asked." if chosen != best else ""),
        pd.DataFrame({"classes": numbers, "cost_of_merge": costs}),
    )


def tree_layout(tree: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Leaves from left to right, and the horizontal place of every node."""
    n, order = len(tree) + 1, leaves_list(tree).tolist()
    place = np.zeros(2 * n - 1)
    place[order] = np.arange(n)
    for i, (a, b) in enumerate(tree[:, :2].astype(int)):
        place[n + i] = (place[a] + place[b]) / 2
    return order, place


def cut_from_left(tree: np.ndarray, n_classes: int) -> np.ndarray:
    """Class of each node when `n_classes` are left, numbered from left to right; −1 above."""
    found = cut_tree(tree, n_classes)
    order, _ = tree_layout(tree)
    _, first = np.unique(found[order], return_index=True)
    return np.append(np.argsort(np.argsort(first)), -1)[found]


def part_colours(part: np.ndarray, groups: pd.DataFrame) -> list[int]:
    """Colour of each class at a cut: that of the class in use it holds most of, if still free."""
    size, used = np.asarray(column(groups, "size")), column(groups, "consensus_class")
    n, count = len(groups), int(part.max()) + 1
    held = np.zeros((count, int(np.nanmax(used, initial=0)) + 1 if used is not None else 1))
    if used is not None:
        np.add.at(held, (part[:n], np.nan_to_num(used).astype(int)), size)
    chosen: dict[int, int] = {}
    for own in np.argsort(-held.sum(axis=1), kind="stable"):
        best = int(held[own].argmax()) - 1
        new = held.shape[1] - 1  # a colour that no class in use has, while there are some
        free = (i for i in range(new, new + count) if i not in chosen.values())
        chosen[int(own)] = best if best >= 0 and best not in chosen.values() else next(free)
    return [chosen[i] for i in range(count)]


def kept_share(part: np.ndarray, groups: pd.DataFrame) -> float:
    """Share of the tree's particles that the cut puts together as the classes in use do."""
    size, used = np.asarray(column(groups, "size")), column(groups, "consensus_class")
    if used is None:
        return 1.0
    held = np.zeros((int(part.max()) + 1, int(np.nanmax(used, initial=0)) + 1))
    np.add.at(held, (part[: len(groups)], np.nan_to_num(used).astype(int)), size)
    return float(held.max(axis=1).sum() / max(held.sum(), 1))


def dendrogram_figure(campaign: Campaign) -> Figure | None:
    """The tree of groups, coloured by the classes in use; page.js moves its cut."""
    tree, groups = campaign.linkage, leaves(campaign)
    if tree is None or not len(tree) or groups is None:
        return None
    n = len(groups)
    chosen = min(max(chosen_number(campaign), 1), n)
    order, place = tree_layout(tree)
    part = cut_from_left(tree, chosen)
    hues = [*part_colours(part, groups), 0]
    height = np.concatenate([np.zeros(n), tree[:, 2]])
    top = float(height.max()) or 1.0
    chart = Chart((-0.7, n - 0.3), (0, top * 1.05), label="Tree of groups", **PLOT)
    chart.axes("groups of particles that every run kept together", "cost of the merge", [])
    for i, (a, b) in enumerate(tree[:, :2].astype(int).tolist()):
        (xa, xb), (ya, yb, y) = place[[a, b]].tolist(), height[[a, b, n + i]].tolist()
        path = (
            f"M{chart.px(xa):.1f} {chart.py(ya):.1f}V{chart.py(y):.1f}"
            f"H{chart.px(xb):.1f}V{chart.py(yb):.1f}"
        )
        style = f"stroke:{colour(hues[part[n + i]])}" if part[n + i] >= 0 else None
        chart.add("path", d=path, class_="link", data_node=n + i, style=style)
    _leaf_bars(chart, groups, order, [hues[p] for p in part])
    low, high = height[2 * n - 1 - chosen], height[2 * n - chosen] if chosen > 1 else top * 1.05
    y = chart.py((low + high) / 2)
    chart.add("line", x1=chart.left, x2=946, y1=y, y2=y, class_="cut", id="cut-line")
    same = percent(kept_share(part, groups), 1)
    every = len(campaign.intersections)
    left_out = f"The {n} largest of {every:,} groups are shown. " if n < every else ""
    return Figure(
        "dendrogram",
        "One class is in use; below its top the tree shows how the runs would split it"
        if chosen == 1
        else f"Cut at {plural(chosen, 'class', 'classes')}, the tree groups {same} of the "
        "particles as the classes in use do",
        chart.svg(),
        f"{left_out}Each leaf is a group of particles that every run put together; its bar is the "
        "group's size. Groups join from the bottom up, the most similar first. Drag the dashed "
        "line, or use the slider, to see other numbers of classes; the table follows.",
        groups,
        wide=True,
    )


def _leaf_bars(chart: Chart, groups: pd.DataFrame, order: list[int], hues: list[int]) -> None:
    """The size of every group, hanging below its leaf (square root, so that small ones show)."""
    size = np.asarray(column(groups, "size"))
    classes, q = column(groups, "consensus_class"), column(groups, "q_value")
    base = chart.height - chart.bottom
    width = max(min((chart.px(1) - chart.px(0)) * 0.8, 14), 0.6)
    for x, leaf in enumerate(order):
        name = groups["id"][leaf] if "id" in groups else leaf + 1
        tip = f"Group {name}: {number(size[leaf])} particles"
        if classes is not None:
            tip += f", consensus class {int(classes[leaf])}"
        if q is not None:
            tip += f", q = {small(q[leaf])}"
        chart.add(
            "rect",
            x=chart.px(x) - width / 2,
            y=base + 3,
            width=width,
            height=max(46 * float(np.sqrt(size[leaf] / size.max())), 0.6),
            style=f"fill:{colour(hues[leaf])}",
            data_tip=tip,
            data_node=leaf,
        )


def tree_data(campaign: Campaign) -> dict | None:
    """What page.js needs to cut the tree elsewhere."""
    tree, groups = campaign.linkage, leaves(campaign)
    if tree is None or not len(tree) or groups is None:
        return None
    order, _ = tree_layout(tree)
    q, classes = column(groups, "q_value"), column(groups, "consensus_class")
    zero = np.zeros(len(groups))
    return {
        "merges": [[int(a), int(b), float(h)] for a, b, h in tree[:, :3]],
        "order": order,
        "size": np.asarray(column(groups, "size")).astype(int).tolist(),
        "q": [None if not np.isfinite(v) else float(v) for v in (zero if q is None else q)],
        "class": (zero if classes is None else np.nan_to_num(classes)).astype(int).tolist(),
        "chosen": chosen_number(campaign),
        "total": int(campaign.takes_part.sum())
        or int(np.nansum(numbers(campaign.intersections, "size"))),
        "top": float(tree[:, 2].max()) * 1.05 or 1.05,
        "plot": [PLOT["height"] - PLOT["bottom"], PLOT["top"]],
        "most": min(len(groups), MOST_POINTS),
    }


def rule_rows(campaign: Campaign) -> list[list[str]]:
    """The rules, their numbers and what they look for."""
    return [
        [name.replace("_", " "), str(value), RULES[name]]
        for name, value in rules(campaign.elbows).items()
    ]
