"""Colours that mean different things differ, in every common kind of colour vision."""

import re
from itertools import combinations

import numpy as np
import pytest

from emjax.report.frame import asset
from emjax.report.svg import N_COLOURS

# Simulated colour vision, full severity: Machado, Oliveira & Fernandes 2009, IEEE TVCG 15, 1291.
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.01182, 0.04294, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.3039]]
    ),
}  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
MEANINGS = [*(f"c{i}" for i in range(N_COLOURS)), "warn", "less", "more"]


def colours(theme: str) -> dict[str, str]:
    """The custom properties of a theme."""
    text = asset("chart.css")
    if theme == "dark":
        text += asset("page.css").split('[data-theme="dark"]')[1].split("}")[0]
    return dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", text))


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x = XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_no_two_meanings_look_alike(theme: str, vision: str):
    found = colours(theme)
    seen = {name: lab(VISION[vision] @ linear(found[name])) for name in MEANINGS}
    for a, b in combinations(MEANINGS, 2):
        # A just noticeable difference is about 2.3.
        assert np.linalg.norm(seen[a] - seen[b]) > 12, (a, b)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_stands_out_of_the_paper(theme: str):
    found = colours(theme)
    light = {name: float(XYZ[1] @ linear(value)) for name, value in found.items() if value}
    names = [*MEANINGS, "s0", "s2", "s3"]
    for name in names:
        low, high = sorted((light[name], light["paper"]))
        assert (high + 0.05) / (low + 0.05) >= 2.9, name  # WCAG 2.2 asks for 3 of graphics
