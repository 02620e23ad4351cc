"""Write docs/options.md from the config schema; with --check, fail where it is out of date."""

import sys
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
SCHEMA = DOCS.parent / "workflow" / "schemas" / "config.schema.yaml"
HEAD = """# Options

Every key of `config.yaml`, made from `workflow/schemas/config.schema.yaml` by
`python docs/make_options.py`; edit the schema, not this page. Only keys without a default must be
given. A key that is not listed here is refused before anything runs. Lengths are in Å.
"""


def resolve(option: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The option with what it refers to filled in."""
    if "$ref" in option:
        return resolve(definitions[option["$ref"].rsplit("/", 1)[1]], definitions)
    return option


def values(option: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What may be given, in words."""
    option = resolve(option, definitions)
    if "expected" in option and "properties" not in option:
        return option["expected"]
    if "enum" in option:
        return ", ".join(f"`{plain(v)}`" for v in option["enum"])
    for key in ("anyOf", "oneOf"):
        if key in option:
            return " or ".join(values(o, definitions) for o in option[key])
    if option.get("type") == "array" and "items" in option:
        return f"list of {values(option['items'], definitions)}"
    names = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "null": "`null`",
        "boolean": "`true`, `false`",
        "array": "list",
        "object": "options below",
    }
    kinds = option.get("type", "object")
    text = " or ".join(names[k] for k in ([kinds] if isinstance(kinds, str) else kinds))
    return " ".join([text, *bounds(option)])


def bounds(option: dict[str, Any]) -> list[str]:
    """Limits of a number."""
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    return [f"{word} {option[key]:g}" for key, word in words.items() if key in option]


def plain(value: Any) -> str:
    """A value as one writes it in YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n...")[0].strip()


def section(name: str, option: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """The table of one group of options, and of the groups inside it."""
    option = resolve(option, definitions)
    title = f"`{name}`" if name else "At the top"
    lines = [f"\n## {title}\n"]
    if name and "description" in option:
        lines.append(f"{option['description']}\n")
    lines += ["| option | values | default | meaning |", "| --- | --- | --- | --- |"]
    inner = []
    required = option.get("required", [])
    for key, found in option.get("properties", {}).items():
        found = resolve(found, definitions)
        default = f"`{plain(found['default'])}`" if "default" in found else "–"
        if key in required:
            default = "must be given"
        cells = [f"`{key}`", values(found, definitions), default, found.get("description", "")]
        lines.append("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |")
        path = f"{name}.{key}" if name else key
        if "properties" in found:
            inner += section(path, found, definitions)
        elif "properties" in resolve(found.get("items", {}), definitions):
            inner += section(f"{path}[]", found["items"], definitions)
    return lines + inner


def options_page() -> str:
    """The whole page."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return HEAD + "\n".join(section("", schema, schema.get("$defs", {}))) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    page, path = options_page(), DOCS / "options.md"
    if "--check" not in sys.argv[1:]:
        path.write_text(page, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == page:
        return 0
    print("docs/options.md: differs from the schema; run python docs/make_options.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
