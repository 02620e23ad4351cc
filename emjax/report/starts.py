"""What the runs started from, and how different it was."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from emjax.report.assignments import best_run
from emjax.report.campaign import Campaign
from emjax.report.figure import Figure
from emjax.report.raster import diverging, grey, png_uri
from emjax.report.svg import Chart, number

PER_ROW, GAP = 8, 4  # pictures, and pixels between them
SIDE = 110  # pixels of a picture at most


def started_runs(campaign: Campaign) -> dict[str, float]:
    """RMS difference of the first maps from their mean, by run; of runs that know it."""
    return {
        name: float(metrics["initial_difference"])
        for name, metrics in campaign.metrics.items()
        if "initial_difference" in metrics
    }


def starts_figure(campaign: Campaign, run: str | None = None) -> Figure | None:
    """First maps of a run, of the best-fitting one where none is named, and their differences."""
    known = started_runs(campaign)
    chosen = run or best_run(campaign)
    name = chosen if chosen in known else next(iter(known), None)
    if name is None or (run and name != run):
        return None
    record = campaign.metrics[name]
    numbers = record["initial_numbers"]
    found = [campaign.volume(campaign.folder.run(name).initial_map(int(k))) for k in numbers]
    volumes = [item[0] for item in found if item is not None]
    if not volumes or len(volumes) < len(numbers):
        return None
    rows = [
        (r, k, part, of_all)
        for r, of_all in known.items()
        for k, part in enumerate(campaign.metrics[r]["initial_differences"], 1)
    ]
    data = pd.DataFrame(rows, columns=["run", "class", "difference", "difference_of_the_run"])
    span = f"{100 * min(known.values()):.1f} to {100 * max(known.values()):.1f} %"
    others = f" ({span} in all {len(known)} runs)" if len(known) > 1 else ""
    return Figure(
        "starts",
        f"The initial maps of {name} differ by {100 * known[name]:.1f} %{others}",
        _pictures(np.stack(volumes), record["initial_differences"]),
        "A slice of each class's initial map, and below it what is more (orange) or less (blue)"
        " than in their mean, on one scale. The figure is the RMS difference from their mean, over"
        " the RMS of the mean map. Initial maps look alike to the eye: the iterations enlarge what"
        " differs. Where it is very little, fewer seeds find the classes.",
        data,
    )


def _pictures(volumes: np.ndarray, parts: list[float]) -> Markup:
    """The slice along z in which the maps differ most, map above difference, class by class."""
    gaps = volumes - volumes.mean(0)
    z = int((gaps**2).sum(axis=(0, 2, 3)).argmax())
    slices, differences = volumes[:, z], gaps[:, z]
    low, high = np.quantile(slices, [0.01, 0.997])
    limit = float(np.abs(differences).max())
    across = min(len(volumes), PER_ROW)
    side = min(SIDE, (480 - GAP * across) / across)
    row = 2 * (side + GAP) + 20
    height = int(row * -(-len(volumes) // PER_ROW))
    chart = Chart((0, 1), (0, 1), int(across * (side + GAP)), height, label="Initial maps")
    for k, (picture, difference, part) in enumerate(zip(slices, differences, parts, strict=True)):
        x, y = (k % PER_ROW) * (side + GAP), (k // PER_ROW) * row
        tip = f"Class {k + 1}: differs by {number(100 * part)} %"
        chart.text(x + side / 2, y + 13, str(k + 1), class_="tick")
        images = (grey(picture, float(low), float(high)), diverging(difference, limit))
        for i, image in enumerate(images):
            chart.add(
                "image", x=x, y=y + 18 + i * (side + GAP), width=side, height=side, data_tip=tip,
                href=png_uri(image),
            )  # fmt: skip
    return chart.svg()
