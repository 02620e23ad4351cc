"""A figure of the report: what it shows in a sentence, the drawing, and its numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

Number = float | int | np.number


@dataclass(frozen=True)
class Figure:
    """One figure; `title` states what was found, `reading` how to see it."""

    name: str
    title: str
    drawing: Markup
    reading: str
    data: pd.DataFrame
    wide: bool = False


def percent(part: Number, whole: Number) -> str:
    """A share in words: 12 %, < 1 %; its parts never break apart."""
    value = 100 * part / whole if whole else 0.0
    text = "< 1 %" if 0 < value < 1 else "> 99 %" if 99.5 <= value < 100 else f"{value:.0f} %"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def first_upper(text: str) -> str:
    """A sentence that begins with a capital; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def plural(count: int | np.integer, noun: str, many: str | None = None) -> str:
    """`1 class`, `4 classes`, `8,000 particles`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
