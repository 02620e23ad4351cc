"""A part of the page, behind a tab of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from emjax.report.figure import Figure


@dataclass(frozen=True)
class Table:
    """A table with its heading."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A small picture: data URI, what stands beneath it, and what the pointer shows."""

    image: str
    name: str
    tip: str


@dataclass(frozen=True)
class Gallery:
    """Pictures that belong together; the large ones come first.

    Attributes:
        colour: index of the colour before its title, None for none.
    """

    title: str
    note: str
    pictures: Sequence[Picture]
    large: Sequence[Picture] = ()
    colour: int | None = None


@dataclass(frozen=True)
class Tab:
    """A part of the page that is there only when it has something to show.

    Attributes:
        key: names it in the page; those of a campaign have templates of their own.
        name, lead: on the tab, and in a sentence below it.
        notes: sentences before its figures.
        figures: of a stand-alone job; a campaign's are found by the key.
        galleries, tables: after its figures.
    """

    key: str
    name: str
    lead: str
    notes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    galleries: Sequence[Gallery] = ()
    tables: Sequence[Table] = ()
