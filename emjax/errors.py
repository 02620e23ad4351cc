"""The errors that wrong input raises."""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """Input that emjax cannot use, in one line: file, place, what was found, what is right."""

    def __init__(
        self,
        file: str | Path | None = None,
        place: str | None = None,
        found: object | None = None,
        expected: object | None = None,
    ) -> None:
        """Args: the file, the row or option in it, the value found, and what would be right."""
        self.file, self.place, self.found, self.expected = file, place, found, expected
        parts = [_one_line(part) for part in (file, place) if part is not None]
        tail = []
        if found is not None:
            tail.append(f"found {_one_line(found)}")
        if expected is not None:
            tail.append(f"expected {_one_line(expected)}")
        message = ": ".join(parts)
        if tail:
            message = f"{message}: {', '.join(tail)}" if message else ", ".join(tail)
        super().__init__(message)


class OptionError(InputError):
    """An option that the numerics cannot use; they know its name, and `at` where it stands."""

    def __init__(
        self, option: str, found: object | None = None, expected: object | None = None
    ) -> None:
        """Args: the option's name within its options, the value found, what would be right."""
        super().__init__(None, option, found, expected)
        self.option = option

    def at(self, file: str | Path, section: str = "") -> InputError:
        """The same with the file and the section (`runs.em3d`) that the option was read from."""
        place = f"{section}.{self.option}" if section else self.option
        return InputError(file, place, self.found, self.expected)


def _one_line(value: object, longest: int = 300) -> str:
    """The value as printable text on one line, shortened in the middle when it is long."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value)
    )
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]} … {text[-half:]}"
    return text
