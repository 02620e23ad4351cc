"""YAML as people write it: what is wrong with a file, with its line."""

import os
from pathlib import Path
from typing import Any

import yaml


class ConfigError(ValueError):
    """One line: file, option, what was found and what would be right."""


class _Loader(yaml.SafeLoader):
    """Refuses a key twice, of which YAML's readers keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As SafeLoader does."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if isinstance(key, str | int | float) and seen.setdefault(key, line) != line:
                found = f"{key} again, as in line {seen[key]}"
                raise yaml.MarkedYAMLError(problem=found, problem_mark=key_node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds; None where it is empty.

    Raises:
        ConfigError: where there is no such file, or it is no YAML, with the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return yaml.load(text, _Loader)  # noqa: S506, a SafeLoader
    except OSError as error:
        found = os.strerror(error.errno or 0).lower()
        message = f"{path}: found {found} (from {Path.cwd()}), expected the YAML file of a campaign"
        raise ConfigError(message) from None
    except UnicodeDecodeError as error:
        message = f"{path}: found {error.reason} at byte {error.start}, expected UTF-8 text"
        raise ConfigError(message) from None
    except (ValueError, yaml.YAMLError) as error:
        where, found, expected = _trouble(error, text)
        raise ConfigError(f"{path}: {where}found {found}, expected {expected}") from None


def _trouble(error: Exception, text: str) -> tuple[str, str, str]:
    """Place, what was found there, and what would be right."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return "", " ".join(str(error).split()), "the YAML file of a campaign"
    problem, lines = str(getattr(error, "problem", "")), text.splitlines()
    where = f"line {mark.line + 1}, column {mark.column + 1}: "
    if "'\\t'" in problem:
        return where, "a tab", "blanks: YAML indents with nothing else"
    if "again, as in line" in problem:
        return where, problem, "each option once"
    context, start = str(getattr(error, "context", "")), getattr(error, "context_mark", None)
    if start is not None and "quoted scalar" in context:
        return f"line {start.line + 1}: ", "a quotation mark without its second", "both of them"
    if start is not None and "flow" in context:
        return f"line {start.line + 1}: ", "a bracket that is not closed", "both of them"
    number = _without_colon(lines, mark.line)
    if number is not None:
        return f"line {number + 1}: ", f"no colon in {lines[number].strip()!r}", "name: value"
    if "<block end>" in problem:
        return where, "another indentation than that of the lines above", "the same"
    line = lines[mark.line].strip() if mark.line < len(lines) else "the end of the file"
    return where, f"{line!r} ({problem})", "the YAML file of a campaign"


def _without_colon(lines: list[str], last: int) -> int | None:
    """The line, up to the one where YAML gave up, that lacks the colon after its name."""
    for number in range(min(last, len(lines) - 1), max(-1, last - 3), -1):
        line = lines[number].split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        named = line[0].isalpha() and not line.endswith(("]", "}", ","))
        # name:value without a blank is text to YAML.
        if named and ": " not in line and not line.endswith(":"):
            return number
    return None
