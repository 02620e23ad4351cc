"""The campaign's configuration: checked against the schema, defaults filled in."""

import difflib
import math
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from emjax.campaign.alone import CAMPAIGN, REQUIRED, job_of, reads
from emjax.campaign.methods import METHODS
from emjax.campaign.shipped import shipped
from emjax.campaign.yaml_file import ConfigError, read_yaml

SCHEMA = shipped("schemas/config.schema.yaml")


def load_schema() -> dict[str, Any]:
    """The schema with its references resolved."""
    schema = yaml.safe_load(SCHEMA.read_text())
    return _resolve(schema, schema.pop("$defs"))


def read_config(path: str | Path) -> dict[str, Any]:
    """The configuration of a file, with every default filled in.

    Raises:
        ConfigError: where there is no such file, it is no YAML, or an option is wrong.
    """
    return complete(read_options(path), str(path))


def read_options(path: str | Path) -> dict[str, Any]:
    """The options that a file holds, whatever they are.

    Raises:
        ConfigError: where there is no such file, or it is no YAML of options.
    """
    config = read_yaml(path)
    if not isinstance(config, dict):
        found = "an empty file" if config is None else _shorten(config)
        raise ConfigError(f"{path}: found {found}, expected options such as campaign: demo")
    return config


def complete(config: Any, source: str = "config") -> dict[str, Any]:
    """A copy of the configuration with every default filled in.

    Args:
        config: as read from YAML.
        source: name of the file, for the message.

    Raises:
        ConfigError: at the first option that is wrong.
    """
    schema, job = load_schema(), job_of(config)
    schema["required"] = list(REQUIRED[job])
    spared = set(REQUIRED[CAMPAIGN]) - set(REQUIRED[job])
    if isinstance(config, dict):
        # What an earlier completion filled in.
        config = {k: v for k, v in config.items() if k not in spared or v is not None}
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=_order)
    if errors:
        raise ConfigError(f"{source}: {_describe(errors[0])}")
    nothing = {name: {} if name == "runs" else None for name in sorted(spared)}
    filled = _fill(deepcopy(nothing | config), schema)
    for complaint in _unread(filled, _fill(nothing, schema), job):
        raise ConfigError(f"{source}: {complaint}")
    for complaint in _contradictions(filled):
        raise ConfigError(f"{source}: {complaint}")
    return filled


def basis_options(config: dict[str, Any]) -> dict[str, Any]:
    """Options of the basis of variability; defaults where no subspace runs are asked for.

    The numbers of classes that held-out particles judge go up to those of em3d.
    """
    if section := config["runs"]["subspace"]:
        return section
    schema = load_schema()["properties"]["runs"]["properties"]["subspace"]
    wanted = (config["runs"]["em3d"] or {}).get("n_classes", [])
    return _fill({"n_classes": sorted({*range(2, 7), *wanted})}, schema)


def _resolve(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return definitions[node["$ref"].rsplit("/", 1)[1]]
        return {key: _resolve(value, definitions) for key, value in node.items()}
    return node


def _fill(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for name, option in schema.get("properties", {}).items():
        if name not in config and "default" in option:
            config[name] = deepcopy(option["default"])
        if isinstance(config.get(name), dict):
            _fill(config[name], option)
        elif isinstance(config.get(name), list) and option.get("items", {}).get("properties"):
            for item in config[name]:
                _fill(item, option["items"])
        elif "number" in option.get("type", "") and isinstance(config.get(name), int):
            config[name] = float(config[name])
    return config


def _order(error: ValidationError) -> tuple[int, int]:
    # Unknown keys first: a misspelt required key shows as unknown, not as missing.
    return error.validator != "additionalProperties", len(error.absolute_path)


def _describe(error: ValidationError) -> str:
    place = _place(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]  # type: ignore[index,call-overload]
        unknown = next(key for key in error.instance if key not in known)  # type: ignore[union-attr]
        near = difflib.get_close_matches(str(unknown), known, 1, 0.5)
        if not error.absolute_path and unknown in known["runs"]["properties"]:
            return f"{unknown}: found at top level; it belongs under runs:"
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"{_place([*error.absolute_path, unknown])}: unknown option; {hint}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)  # type: ignore[operator,union-attr]
        expected = _expected_of(error.schema, missing)
        return f"{_place([*error.absolute_path, missing])}: missing; expected {expected}"
    message = f"{place}: found {_shorten(error.instance)}, expected {_expected(error)}"
    if error.validator_value == "string" and isinstance(error.instance, int | float | date):
        # YAML reads 2024 as a number and 2024-01-31 as a date.
        message += f"; write it in quotes, '{error.instance}'"
    return message


def _expected_of(schema: Any, name: str) -> str:
    option = schema["properties"][name]
    return option.get("expected") or option.get("description", "a value").rstrip(".")


def _expected(error: ValidationError) -> str:
    option: Any = error.schema
    # An item's own words say less than those of its list.
    if "expected" in option:
        return option["expected"]
    parent = error.parent
    if parent is not None and "expected" in (parent.schema or {}):  # type: ignore[operator]
        return parent.schema["expected"]  # type: ignore[index,call-overload]
    if "enum" in option:
        return "one of " + ", ".join(str(value) for value in option["enum"])
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a section of options",
        "null": "null",
    }
    kinds = option.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    text = " or ".join(words[kind] for kind in kinds)
    bounds = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "up to {}",
        "exclusiveMaximum": "below {}",
        "minLength": "of at least {} character",
    }
    return " ".join([text, *(form.format(option[b]) for b, form in bounds.items() if b in option)])


def _place(path: Any) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "top level"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, float):
        yield place, value


def _unread(
    config: dict[str, Any], defaults: dict[str, Any], job: str, place: str = ""
) -> Iterator[str]:
    """Options that were given although the job does not read them."""
    for name, value in config.items():
        option, default = f"{place}.{name}".lstrip("."), defaults.get(name)
        if isinstance(value, dict) and isinstance(default, dict):
            yield from _unread(value, default, job, option)
        elif value != default and not reads(job, option):
            found = _shorten(value)
            yield f"{option}: found {found}, expected nothing: the job {job} does not read it"


def _contradictions(config: dict[str, Any]) -> Iterator[str]:
    for place, value in _numbers(config):
        if not math.isfinite(value):
            yield f"{place}: found {value}, expected a finite number"
    runs, masks, rebalance = config["runs"], config["masks"], config["rebalance"]
    if not any(runs.values()) and "runs" in REQUIRED[config["job"]]:
        yield "runs: found none, expected at least one of " + ", ".join(runs)
    if config["job"] == "som" and not runs["som"]:
        yield "runs.som: missing; expected its options, such as {map: [7, 7], seeds: 3}"
    if masks["near"] > masks["far"]:
        yield f"masks.near: found {masks['near']:g}, expected at most masks.far ({masks['far']:g})"
    if rebalance["max_superclass_size"] and not rebalance["factor"]:
        yield "rebalance.max_superclass_size: needs rebalance.factor above 0, found 0"
    for method in METHODS.values():
        yield from method.contradictions(config)


def particle_suffixes(particles: str) -> tuple[str, ...]:
    """Of the particle files that a campaign writes: a CryoSPARC input gets its own format too."""
    return (".star", ".cs") if particles.endswith(".cs") else (".star",)
