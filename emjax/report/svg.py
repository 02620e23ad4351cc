"""Plots as SVG text: one chart with axes, marks that carry their numbers, nothing to install."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10
from textwrap import wrap

import numpy as np
from markupsafe import Markup, escape

from emjax.report.figure import Figure, Number

# One palette a meaning, in chart.css and for the dark theme in page.css: classes, series, warnings,
# and less and more density. Of any two colours the worst CIELAB distance in normal, protan, deutan
# and tritan vision (Machado et al. 2009) is at least 14.
N_COLOURS, N_SERIES = 8, 4
WIDE = 900  # pixels from which a drawing takes a row of its own
WARN = "var(--warn)"
DASHES = (None, "7 4", "2 3", "9 3 2 3")  # of classes that have to share a colour


def colour(index: int | np.integer) -> str:
    """The CSS colour of a class (0-based)."""
    return f"var(--c{index % N_COLOURS})"


def series(index: int | np.integer = 0) -> str:
    """The CSS colour of a series that is no class: runs with so many classes, a histogram."""
    return f"var(--s{index % N_SERIES})"


def dash(index: int | np.integer) -> str | None:
    """Dashes of a class's curve (0-based): classes of one colour differ in them."""
    return DASHES[index // N_COLOURS % len(DASHES)]


def number(value: Number) -> str:
    """A number as one would write it by hand: 8,000 · 0.97 · 3.2e-7."""
    if value is None or not isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.{int(abs(value) < 1000)}f}"


def small(value: Number) -> str:
    """A p- or q-value; zero only means too small for a computer's number."""
    return "< 1e-300" if value == 0 else f"{value:.2g}"


def ticks(low: Number, high: Number, count: int = 5) -> list[Number]:
    """Round numbers from `low` to `high`."""
    if not high > low:
        return [low]
    step = 10 ** floor(log10((high - low) / count))
    step *= min((1, 2, 2.5, 5, 10), key=lambda m: abs((high - low) / (step * m) - count))
    first = ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, floor(high / step + 1e-9) + 1)]


def tick_names(values: Sequence[Number]) -> list[tuple[Number, str]]:
    """Evenly spaced numbers with as many digits as distinguish them."""
    step = min((abs(b - a) for a, b in zip(values, values[1:])), default=1)
    digits = max(0, -floor(log10(step) + 1e-9)) if step > 0 else 0
    if abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
        digits += 1
    return [(v, f"{v:,.{digits}f}") for v in values]


def resolution_ticks(top: float) -> list[tuple[Number, str]]:
    """Round resolutions (Å) on an axis of frequencies up to `top` 1/Å, far enough apart to read."""
    found: list[tuple[Number, str]] = []
    last = 0.0
    for r in (m * one for one in (100, 10, 1, 0.1) for m in (5, 4, 3, 2.5, 2, 1.5, 1.2, 1)):
        if 1 / r <= top * 1.001 and 1 / r - last >= top / 9:
            found.append((1 / r, f"{r:g}"))
            last = 1 / r
    return found


def _attributes(values: dict) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in values.items()
        if value is not None
    )


def element(tag: str, content: str = "", **attributes) -> str:
    """One SVG element; attribute values are escaped, `content` must be so already."""
    for name, value in attributes.items():
        if isinstance(value, float):
            attributes[name] = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"<{tag}{_attributes(attributes)}>{content}</{tag}>"


@dataclass
class Chart:
    """A drawing with a linear x and y axis; coordinates given in data units."""

    x: tuple[Number, Number]
    y: tuple[Number, Number]
    width: int = 480
    height: int = 300
    left: int = 58
    right: int = 14
    top: int = 14
    bottom: int = 46
    label: str = ""
    parts: list[str] = field(default_factory=list)
    origin: int = 0  # of a panel in a drawing that others share: pixels left of it
    foot: int = 0  # and below it

    def px(self, x: Number) -> float:
        """Horizontal pixel of a coordinate."""
        low, high = self.x
        span = self.width - self.left - self.right
        return self.left + span * (x - low) / ((high - low) or 1)

    def py(self, y: Number) -> float:
        """Vertical pixel of a coordinate, counted downwards."""
        low, high = self.y
        span = self.height - self.top - self.bottom
        return self.height - self.bottom - span * (y - low) / ((high - low) or 1)

    def add(self, tag: str, content: str = "", **attributes) -> None:
        """Append an element."""
        self.parts.append(element(tag, content, **attributes))

    def text(self, x: Number, y: Number, text: str, anchor: str = "middle", **attributes) -> None:
        """Words at a pixel position."""
        self.add("text", str(escape(text)), x=x, y=y, text_anchor=anchor, **attributes)

    def axes(
        self,
        x_label: str,
        y_label: str,
        x_ticks: Sequence[tuple[Number, str]] | None = None,
        y_ticks: Sequence[tuple[Number, str]] | None = None,
    ) -> None:
        """Grid lines, tick numbers and the two axis titles (with their units).

        Comes before anything is drawn: long tick numbers move the axis to the right.
        """
        if x_ticks is None:
            x_ticks = tick_names(ticks(*self.x))
        if y_ticks is None:
            y_ticks = tick_names(ticks(*self.y))
        longest = max((len(name) for _, name in y_ticks), default=0)
        self.left = max(self.left, self.origin + 30 + 8 * longest)
        end, base = self.width - self.right, self.height - self.bottom
        for value, name in y_ticks:
            y = self.py(value)
            self.add("line", x1=self.left, x2=end, y1=y, y2=y, class_="grid")
            self.text(self.left - 7, y + 4, name, "end", class_="tick")
        self.add("line", x1=self.left, x2=end, y1=base, y2=base, class_="axis")
        for value, name in x_ticks:
            x, half = self.px(value), 4 * len(name)
            place = (x, "middle") if x + half <= self.width else (self.width - 1, "end")
            self.text(place[0], base + 17, name, place[1], class_="tick")
        # A wide drawing is scrolled on a phone, where its middle is not seen.
        wide = self.width >= WIDE and self.origin == 0 and end > WIDE * 0.75
        x, anchor = (self.left, "start") if wide else ((self.left + end) / 2, "middle")
        self.text(x, self.height - self.foot - 8, x_label, anchor, class_="label")
        x, y = self.origin + 15, (self.top + base) / 2
        if y_label:
            turned = f"rotate(-90 {x} {y:.1f})"
            self.text(x, y, y_label, class_="label", transform=turned)

    def line(
        self, xs: Sequence[Number], ys: Sequence[Number], stroke: str = series(), **attributes
    ) -> None:
        """A curve; breaks where a value is missing."""
        path, pen = [], "M"
        for x, y in zip(xs, ys, strict=True):
            if not (isfinite(x) and isfinite(y)):
                pen = "M"
                continue
            path.append(f"{pen}{self.px(x):.1f} {self.py(y):.1f}")
            pen = "L"
        style = f"stroke:{stroke}"
        self.add("path", d="".join(path), class_="curve", style=style, **attributes)

    def dot(
        self, x: Number, y: Number, tip: str, fill: str = series(), r: Number = 4.5, **more
    ) -> None:
        """A point that shows its numbers under the pointer."""
        if isfinite(x) and isfinite(y):
            style = f"fill:{fill}"
            self.add("circle", cx=self.px(x), cy=self.py(y), r=r, style=style, data_tip=tip, **more)

    def bar(
        self, x0: Number, x1: Number, y0: Number, y1: Number, tip: str, fill: str, **more
    ) -> None:
        """A filled box between data coordinates."""
        a, b = sorted((self.px(x0), self.px(x1)))
        c, d = sorted((self.py(y0), self.py(y1)))
        size = {"width": max(b - a, 0.1), "height": max(d - c, 0.1)}
        self.add("rect", x=a, y=c, **size, style=f"fill:{fill}", data_tip=tip, **more)

    def rule(
        self,
        x: Number | None = None,
        y: Number | None = None,
        name: str = "",
        lift: int = 8,
        right: bool = False,
    ) -> None:
        """A dashed reference line with its name, `lift` pixels above the axis if upright."""
        end, base = self.width - self.right, self.height - self.bottom
        if y is not None:
            p = self.py(y)
            self.add("line", x1=self.left, x2=end, y1=p, y2=p, class_="rule")
            place = (
                (end - 4, p - 4, name, "end") if right else (self.left + 4, p - 4, name, "start")
            )
            if name:
                self.text(*place, class_="note")
        if x is not None:
            p = self.px(x)
            self.add("line", x1=p, x2=p, y1=self.top, y2=base, class_="rule")
            side = ("end", -4) if p > 0.7 * end else ("start", 4)
            if name:
                self.text(p + side[1], base - lift, name, side[0], class_="note")

    def legend(
        self,
        entries: Sequence[tuple[str, str]],
        columns: int = 4,
        dashes: Sequence[str | None] = (),
    ) -> None:
        """Names with their colours above the plot, as lines where these have dashes."""
        cell = (self.width - self.left) / columns
        for i, (name, ink) in enumerate(entries):
            x, y = self.left + (i % columns) * cell, 10 + 16 * (i // columns)
            if dashes:
                ends = {"x1": x, "x2": x + 22, "y1": y - 4, "y2": y - 4}
                style = f"stroke:{ink}"
                self.add("line", **ends, class_="curve", style=style, stroke_dasharray=dashes[i])
            else:
                self.add("rect", x=x, y=y - 7, width=12, height=6, style=f"fill:{ink}")
            self.text(x + (26 if dashes else 16), y, name, "start", class_="tick")

    def svg(self) -> Markup:
        """The whole drawing."""
        return Markup(
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
            f'viewBox="0 0 {self.width} {self.height}" aria-label="{escape(self.label)}">'
            + "".join(self.parts)
            + "</svg>"
        )


def alone(figure: Figure, style: str) -> str:
    """A figure as a file of its own: its size, the title above it, how to read it below."""
    drawing = str(figure.drawing)
    found = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing)
    assert found is not None
    width, height = int(found[1]), int(found[2])
    # In a wide fallback font a letter of the title takes 10 pixels, one of the caption 7.5.
    title, caption = wrap(figure.title, width // 10), wrap(figure.reading, int(width / 7.5))
    top, below = 22 * len(title) + 12, 16 * len(caption) + 14
    full = height + top + below
    size = f'viewBox="0 {-top} {width} {full}" width="{width}" height="{full}"'
    head, body = drawing.replace(found[0], size, 1).split(">", 1)
    lines = [(22 * (i + 1) - top, "title", line) for i, line in enumerate(title)]
    lines += [(height + 16 * (i + 1), "caption", line) for i, line in enumerate(caption)]
    words = [element("text", str(escape(line)), x=12, y=y, class_=c) for y, c, line in lines]
    back = element("rect", x=0, y=-top, width=width, height=full, class_="paper")
    named = f"<title>{escape(figure.title)}</title>"
    return f"{head}>{named}<style>{style}</style>{back}{''.join(words)}{body}"


def heat_colour(value: Number) -> tuple[str, bool]:
    """Colour of a value in 0..1 (dark blue to yellow, cividis-like) and whether ink is light."""
    stops = [(0, 34, 78), (65, 77, 107), (124, 123, 120), (188, 174, 108), (254, 232, 56)]
    position = min(max(value, 0.0), 1.0) * (len(stops) - 1)
    i = min(int(position), len(stops) - 2)
    t = position - i
    rgb = [round(a + t * (b - a)) for a, b in zip(stops[i], stops[i + 1], strict=True)]
    return f"#{rgb[0]:02x}{rgb[1]:02x}{rgb[2]:02x}", bool(value < 0.55)
