"""The wheel holds the workflow, and is all that a campaign needs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.campaigns import ROOT

SOURCES = ("emjax", "workflow", "profiles", "pyproject.toml", "setup.py", "README.md", "LICENSE")
MISSING = ("make", "git", "gcc", "cc")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network from a copy of the sources, which stay as they are."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so"))
        else:
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(target), "."], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (made,) = target.glob("emjax-*.whl")
    return made


def test_the_wheel_holds_every_file_of_package_and_workflow(wheel: Path):
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "emjax", "workflow", "profiles"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if tracked.returncode:
        pytest.skip("no git checkout to compare with")
    wanted = set()
    for name in tracked.stdout.splitlines():
        if not (ROOT / name).exists():
            continue
        name = name if not name.startswith("profiles/") else f"workflow/{name}"
        wanted.add(name if name.startswith("emjax/") else f"emjax/{name}")
    assert len(wanted) > 100 and "emjax/workflow/profiles/slurm/config.yaml" in wanted
    assert wanted - held == set()
    others = {name for name in held - wanted if ".dist-info/" not in name}
    assert {Path(name).suffix for name in others} <= {".so", ".py", ".yaml", ".smk"}
    assert not any("__pycache__" in name for name in held)


def test_the_command_is_declared(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "emjax = emjax.cli:main" in archive.read(entries).decode()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the wheel; other packages are those of the tests'."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install"]
    subprocess.run([*command, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # After the wheel's own folder, so that emjax is the wheel's. An editable emjax is left out:
    # its .pth file is not read from a folder that is only on the path.
    (packages / "others.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An empty folder, and an environment without make, git, a compiler and this checkout."""
    programs = tmp_path_factory.mktemp("programs")
    for program in (path for folder in ("/usr/bin", "/bin") for path in Path(folder).iterdir()):
        link = programs / program.name
        if not link.is_symlink() and program.name.split("-")[0] not in MISSING:
            link.symlink_to(program)
    environment = {"PATH": str(programs), "HOME": str(programs), "LANG": "C.UTF-8"}
    environment |= {k: v for k, v in os.environ.items() if k.startswith(("JAX_", "XLA_", "OMP_"))}
    assert not any(shutil.which(name, path=str(programs)) for name in MISSING)
    return tmp_path_factory.mktemp("empty"), environment


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_new_user_types_the_commands_in_an_empty_folder(
    installed: Path, place: tuple[Path, dict[str, str]]
):
    folder, environment = place

    def emjax(*arguments: str) -> str:
        done = subprocess.run(
            [installed / "bin/emjax", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    where = "import emjax; print(emjax.__file__)"
    python = [installed / "bin/python", "-c", where]
    used = subprocess.run(python, cwd=folder, env=environment, capture_output=True, text=True)
    assert used.stdout.startswith(str(installed)), used.stderr
    said = emjax("demo", "--particles", "400").splitlines()
    report = folder / "results/demo/report.html"
    assert said[-1].startswith("Simulated were 4 states; the campaign found ")
    assert report.stat().st_size > 100_000

    particles = "data/demo/particles.star"
    assert "400 particles of 48 px" in emjax("init", particles, "-o", "mine.yaml")
    options = (folder / "mine.yaml").read_text()
    for old, new in (
        ("campaign: demo", "campaign: mine"),
        ("n_classes: [2, 3]", "n_classes: [2]"),
        ("seeds: 5", "seeds: 2"),
        ("#evidence_seeds: 2", "evidence_seeds: 0"),
        ("#online_epochs: 2", "online_epochs: 0"),
        ("#full_iterations: 25", "full_iterations: 3"),
    ):
        assert f"\n{old}\n" in options or f" {old}\n" in options
        options = options.replace(old, new, 1)
    (folder / "mine.yaml").write_text(options)
    assert "no error" in emjax("check", "mine.yaml")
    assert "one after the other" in emjax("estimate", "mine.yaml")
    assert "not started" in emjax("status", "mine.yaml")
    emjax("run", "mine.yaml", "--cores", "2")
    assert "em3d: 2 of 2 runs finished" in emjax("status", "mine.yaml")
    assert emjax("report", "mine.yaml") == f"{folder / 'results/mine/report.html'}\n"
    for name in ("best.star", "best.cs"):
        emjax("select", "mine.yaml", "--classes", "1", "-o", name)
        assert (folder / name).stat().st_size > 1000
    emjax("convert", "best.star", "again.cs")
    emjax("export", "results/mine", particles, "--formats", "table")
    assert "DIFFERENT" not in emjax("reproduce", "results/mine/campaign.json")
    emjax("report", "mine.yaml", "--rebuild")
    emjax("report", "mine.yaml", "--snakemake", "own.zip")
    assert (folder / "own.zip").exists()
