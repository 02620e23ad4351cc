"""Where the workflow lies that comes with emjax: inside the installed package, or beside it."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """A file or folder of the workflow, such as `Snakefile` or `schemas/config.schema.yaml`."""
    inside = PACKAGE / "workflow"
    return (inside if inside.is_dir() else PACKAGE.parent / "workflow") / name
