"""What every page shares: one self-contained file that opens offline and asks no network."""

import base64
import hashlib
import json
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from emjax.report.figure import Figure

SCRIPTS = ("ui.js", "figures.js", "sort.js", "cut.js", "keep.js", "surface.js")
MOST_CSV = 400_000  # characters of one figure's table inside the page


def asset(name: str) -> str:
    """Text of a file that is part of the pages."""
    return (files("emjax.report") / "assets" / name).read_text(encoding="utf-8")


def embed(value: Any) -> Markup:
    """A value as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def csv_of(figure: Figure) -> str:
    """A figure's numbers as CSV, cut where a page should not carry them all."""
    text = figure.data.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    if len(text) <= MOST_CSV:
        return text
    kept = text[:MOST_CSV].rsplit("\n", 1)[0]
    return f"{kept}\n# cut here: {len(figure.data):,} rows in the campaign's files\n"


class Frame:
    """The frame of pages, read once: style, scripts and the parts that their templates share."""

    def __init__(self) -> None:
        """Nothing in it depends on a campaign."""
        self._environment = Environment(
            loader=FunctionLoader(asset),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        script = "\n".join(asset(name) for name in SCRIPTS)
        self._environment.filters.update(embed=embed, csv=csv_of)
        self._environment.globals.update(
            version=version("emjax"),
            style=Markup(asset("page.css")),
            chart_style=Markup(asset("chart.css")),
            script=Markup(script),
            digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )

    def render(self, template: str, **values: Any) -> str:
        """A page as one HTML text.

        Args:
            template: file name of what stands inside the frame.
            values: what it shows.
        """
        return self._environment.get_template(template).render(values)
