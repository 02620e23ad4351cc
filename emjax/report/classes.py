"""The consensus classes one by one: pictures, facts, warnings."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from emjax.consensus.traces import parse_class
from emjax.report.campaign import Campaign, column
from emjax.report.figure import Figure, percent, plural
from emjax.report.firm import shortfalls
from emjax.report.quality import class_resolution, stability_figure
from emjax.report.raster import (
    diverging,
    grey,
    largest_piece,
    lowpass,
    match_box,
    png_uri,
    shaded_surface,
    shrink,
    slices_at,
    surface_level,
)
from emjax.report.svg import small

DIRECTIONS = ("along z", "along y", "along x")
WIDEST = 128  # maps wider than this are averaged down before anything is drawn
SUFFIXES = (".star", ".cs")
SURFACE_BOX = 40  # of the 3D look: 64 kB per class


@dataclass(frozen=True)
class ClassCard:
    """All that is shown of one consensus class; pictures are data URIs with their names."""

    number: int
    size: str
    kept: bool
    facts: list[tuple[str, str]]
    warnings: list[str]
    links: list[str]
    stability: Figure | None
    slices: list[tuple[str, str]] = field(default_factory=list)
    differences: list[tuple[str, str]] = field(default_factory=list)
    filtered: str = ""
    strength: str = ""
    of: str = "the particle"  # what the slices go through
    surface: str = ""
    volume: dict[str, Any] | None = None  # decimated, for the 3D look


def kept_classes(campaign: Campaign) -> list[int]:
    """Classes whose particles are kept; all where none was picked."""
    return campaign.rebalance.get("keep") or campaign.class_numbers


def picking(campaign: Campaign) -> dict[str, Any] | None:
    """What page.js needs to pick classes; None where there is nothing to pick from."""
    if len(campaign.class_numbers) < 2:
        return None
    sizes = campaign.by_class("size")
    return {
        "size": {str(c): int(sizes.get(c, 0)) for c in campaign.class_numbers},
        "kept": kept_classes(campaign),
    }


def class_cards(campaign: Campaign) -> list[ClassCard]:
    """One card per class, pictures on a common scale."""
    maps = _read_maps(campaign)
    if maps is None:
        return [_card(campaign, c, {}) for c in campaign.class_numbers]
    numbers, volumes, mask, voxel_size = maps
    if not campaign.representatives.empty:
        shown = zip(numbers, volumes, strict=True)
        alone = {c: _alone(volume) for c, volume in shown if np.ptp(volume) > 0}
        return [_card(campaign, c, alone.get(c, {})) for c in campaign.class_numbers]
    limit = max(_resolutions(campaign).values(), default=float("nan"))
    smooth = {c: lowpass(v, voxel_size, limit) for c, v in zip(numbers, volumes, strict=True)}
    sizes = campaign.by_class("size")
    weights = [max(sizes.get(c, 1.0), 1.0) for c in numbers]
    mean = np.average(np.stack(list(smooth.values())), axis=0, weights=weights)
    gaps = {c: (v - mean) * mask for c, v in smooth.items()}
    middle = _middle(mask if mask.min() < 0.5 else mean)
    slices = {c: slices_at(v, middle) for c, v in zip(numbers, volumes, strict=True)}
    everything = np.concatenate([s.ravel() for group in slices.values() for s in group])
    low, high = np.quantile(everything, [0.01, 0.997])
    inside = 0.35 * float(mask.mean()) if mask.min() < 0.5 else 0.06
    densest = float((mean * mask).max())
    filtered = f"{limit:.0f} Å" if np.isfinite(limit) else ""
    pictures = {
        c: _slices(slices[c], float(low), float(high))
        | _differences(gaps[c], densest, voxel_size)
        | _surface(smooth[c] * mask, gaps[c], inside)
        | {"filtered": filtered}
        for c in numbers
    }
    return [_card(campaign, c, pictures.get(c, {})) for c in campaign.class_numbers]


def _alone(volume: np.ndarray) -> dict[str, Any]:
    """Pictures on a scale of their own: maps of several runs do not compare."""
    slices = slices_at(volume, _middle(volume))
    low, high = np.quantile(np.stack(slices), [0.01, 0.997])
    nothing = np.zeros_like(volume)
    return _slices(slices, float(low), float(high)) | _surface(volume, nothing, 0.06)


def _middle(weight: np.ndarray) -> tuple[int, int, int]:
    """The voxel at the centre of mass."""
    weight = np.maximum(weight, 0)
    sums = [weight.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    z, y, x = (round(float(np.average(np.arange(s.size), weights=s + 1e-12))) for s in sums)
    return z, y, x


def _slices(slices: list[np.ndarray], low: float, high: float) -> dict[str, Any]:
    pictures = [png_uri(grey(s, low, high)) for s in slices]
    return {"slices": list(zip(DIRECTIONS, pictures, strict=True))}


def _differences(gap: np.ndarray, densest: float, voxel_size: float) -> dict[str, Any]:
    """Slices of the difference from the mean through its strongest voxel, each on its own scale."""
    z, y, x = (int(i) for i in np.unravel_index(int(np.abs(gap).argmax()), gap.shape))
    most = float(np.abs(gap[z, y, x]))
    place = [f"{(v - gap.shape[0] // 2) * voxel_size:+.0f} Å" for v in (z, y, x)]
    names = [f"{d}, {p}" for d, p in zip(DIRECTIONS, place, strict=True)]
    pictures = [png_uri(diverging(s, 0.9 * most)) for s in slices_at(gap, (z, y, x))]
    share = most / densest if densest > 0 else float("nan")
    return {
        "differences": list(zip(names, pictures, strict=True)),
        "strength": f"{percent(share, 1)} of the highest density" if np.isfinite(share) else "",
    }


def _surface(volume: np.ndarray, gap: np.ndarray, inside: float) -> dict[str, Any]:
    """A still of the surface and the decimated map for the 3D look."""
    small, change = shrink(volume, 72), _smooth_change(gap, 72)
    level = surface_level(small, inside)
    still = png_uri(shaded_surface(largest_piece(small, level), level, change))
    return {"surface": still, "volume": _look(volume, gap, inside)}


def _read_maps(
    campaign: Campaign,
) -> tuple[list[int], list[np.ndarray], np.ndarray, float] | None:
    """Numbers and maps of the classes, the solvent mask in their box, and the voxel size (Å)."""
    found = [(c, campaign.volume(campaign.class_map(c))) for c in campaign.class_numbers]
    maps = [(c, item) for c, item in found if item is not None]
    if not maps:
        return None
    # Representatives may come from runs of several boxes.
    maps = [(c, item) for c, item in maps if item[0].shape == maps[0][1][0].shape]
    width = maps[0][1][0].shape[0]
    volumes = [shrink(item[0], WIDEST).astype(np.float32) for _, item in maps]
    first, voxel_size = volumes[0], maps[0][1][1] * -(-width // WIDEST)
    alone = campaign.job == "reconstruct"
    prepared = campaign.folder.reconstruct if alone else campaign.folder.prepare
    given = campaign.volume(prepared.solvent_mask)
    mask = np.ones_like(first) if given is None else match_box(given[0], first.shape[0])
    return [c for c, _ in maps], volumes, mask, voxel_size


def _resolutions(campaign: Campaign) -> dict[int, float]:
    """Resolution (Å) of every class that has one."""
    found = {}
    for c in campaign.class_numbers:
        table = campaign.table(campaign.maps.class_fsc(c))
        frequency, fsc = column(table, "frequency_per_angstrom"), column(table, "fsc")
        if frequency is not None and fsc is not None:
            value, falls = class_resolution(frequency, fsc)
            if falls and value < 1 / frequency[0]:
                found[c] = value
    return found


def _card(campaign: Campaign, c: int, pictures: dict[str, Any]) -> ClassCard:
    size, facts, warnings = _facts(campaign, c)
    maps = campaign.maps
    files = [campaign.class_map(c), *(maps.class_map(c, f"half{h}") for h in (1, 2))]
    files += [maps.class_fsc(c), *campaign.folder.consensus.class_particles(c).all(SUFFIXES)]
    return ClassCard(
        number=c,
        size=size,
        kept=c in kept_classes(campaign),
        facts=facts,
        warnings=warnings,
        links=[campaign.link(p) for p in files if p.is_file()],
        of=_shown(campaign, c),
        stability=None if len(campaign.class_numbers) == 1 else stability_figure(campaign, c),
        **pictures,
    )


def _shown(campaign: Campaign, c: int) -> str:
    """What the map of a class shows."""
    rows = campaign.representatives
    if rows.empty:
        return "the particle"
    row = rows[rows["class"] == c].iloc[0]
    return f"its most similar input class, {row['class_of_run']} of {row['run']}"


def _smooth_change(gap: np.ndarray, box: int) -> np.ndarray:
    """The difference as a tint, −1..1, blurred so that whole parts take one colour."""
    change = gaussian_filter(shrink(gap, box), box / 40)
    return change / max(float(np.abs(change).max()), 1e-12)


def _look(volume: np.ndarray, gap: np.ndarray, inside: float) -> dict[str, Any]:
    """The map as bytes for the 3D look: density in red, difference from the mean in green."""
    small, change = shrink(volume, SURFACE_BOX), _smooth_change(gap, SURFACE_BOX)
    low, high = float(small.min()), float(small.max())
    side = small.shape[0]
    density = 255 * (small - low) / max(high - low, 1e-12)
    colour = 128 + 110 * change
    packed = np.stack([density, colour, np.zeros_like(density)], axis=-1)
    level = int(np.clip(surface_level(density, inside), 1, 254))
    return {"box": side, "level": level, "uri": png_uri(packed.reshape(side * side, side, 3))}


def _facts(campaign: Campaign, c: int) -> tuple[str, list[tuple[str, str]], list[str]]:
    """How large a class is, what else is known in numbers, and what to distrust about it."""
    table = campaign.stability
    row = (
        table[table["class"] == c].iloc[0] if "class" in table and c in set(table["class"]) else {}
    )
    particles = campaign.particles.get("rlnClassNumber", np.zeros(0))
    size = float(row.get("size", (particles == c).sum()))
    total = max(int(campaign.takes_part.sum()), 1)
    of_these = "" if total == len(particles) else f" of {total:,}"
    alone = len(campaign.class_numbers) == 1
    facts = []
    warnings = [f"Uncertain: {why}." for why in shortfalls(campaign).get(c, []) if not alone]
    low, high = row.get("occupancy_low"), row.get("occupancy_high")
    if low is not None and size < total and high is not None and np.isfinite([low, high]).all():
        facts.append(("Occupancy, 95 % interval", f"{100 * low:.1f} to {100 * high:.1f} %"))
    fsc = campaign.table(campaign.maps.class_fsc(c))
    if not fsc.empty:
        frequency = np.asarray(column(fsc, "frequency_per_angstrom"))
        resolution, falls = class_resolution(frequency, np.asarray(column(fsc, "fsc")))
        text = f"{resolution:.1f} Å" if falls else f"{resolution:.1f} Å or better"
        facts.append(("Resolution (FSC 0.143)", text))
    mean = row.get("mean_stability")
    if mean is not None and np.isfinite(mean) and not alone:
        facts.append(("Mean stability", f"{mean:.2f} of 1"))
    q = row.get("q_value")
    if q is not None and np.isfinite(q) and not alone:
        facts.append(("q-value against unrelated runs", small(float(q))))
    gain = row.get("held_out_gain")
    if gain is not None and np.isfinite(gain) and not alone:
        text = f"{gain:.0f} nats ({row['held_out_low']:.0f} to {row['held_out_high']:.0f})"
        facts.append((f"Held-out gain over one class with {row['nearest']:.0f}", text))
    if row.get("representative") is not None and not alone:
        name = str(row["representative"])
        run, k = parse_class(name)
        facts.append(("Most similar input class", campaign.run_link(run, name, f"#class-{k}")))
    return f"{plural(int(size), 'particle')} ({percent(size, total)}{of_these})", facts, warnings
