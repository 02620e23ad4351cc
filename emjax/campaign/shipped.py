"""Where the workflow lies that comes with emjax: inside the installed package, or beside it."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """A file or folder of the workflow, such as `Snakefile` or `profiles/slurm`."""
    inside = PACKAGE / "workflow"
    if inside.is_dir():
        return inside / name
    # In a checkout the profiles lie beside the workflow, where users look for them.
    top = PACKAGE.parent if name.startswith("profiles") else PACKAGE.parent / "workflow"
    return top / name
