"""Commands of tutorial and how-tos, typed in their order in a project like the reader's."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from emjax.io.mrc.volume import write_volume
from tests.campaigns import ROOT, tiny_config
from tests.cli.conftest import Emjax

# What needs no results; a run is handed to Snakemake, which is not started.
TYPED = {"init", "check", "estimate", "run", "convert", "status"}
BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {
    "tutorial": 4,
    "filter-resolution": 4,
    "focus-mask": 2,
    "relion": 4,
    "cryosparc": 6,
    "many-states": 2,
    "nothing-found": 2,
}


@pytest.fixture
def project(emjax: Emjax, particles: Path) -> None:
    """A project with a refinement of RELION and one of CryoSPARC, and files that pages name."""
    shutil.copytree(particles, "data/demo")
    table = Path("data/demo/particles.star").read_text()
    for folder in map(Path, ("Refine3D/job012", "J24")):
        folder.mkdir(parents=True)
    refined = table.replace("@particles.mrcs", "@data/demo/particles.mrcs")
    Path("Refine3D/job012/run_data.star").write_text(refined)
    assert emjax("convert", "Refine3D/job012", "J24/J24_particles.cs").code == 0
    shutil.copy("Refine3D/job012/run_data.star", "part_a.star")
    for name in ("coarse", "many"):
        config = tiny_config(campaign=name, particles="Refine3D/job012/run_data.star")
        Path(f"{name}.yaml").write_text(yaml.safe_dump(config))


def typed(page: str) -> Iterator[list[str] | str]:
    """Commands of a page in their order, and its Python between them."""
    for language, block in BLOCKS.findall((ROOT / f"docs/{page}.md").read_text("utf-8")):
        if language == "python":
            yield block
        for line in block.splitlines() if language in ("sh", "") else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["emjax"] and words[1] in TYPED:
                yield words[1:]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("page", PAGES)
def test_commands_do_as_typed(page: str, emjax: Emjax, started: list[list[str]]):
    if page in ("focus-mask", "nothing-found"):
        assert emjax("init", "Refine3D/job012", "-o", "my.yaml").code == 0
        # What a finished campaign exports.
        exported = Path("results/demo/export/maps/solvent_mask.mrc")
        exported.parent.mkdir(parents=True)
        z, y, x = np.indices((48, 48, 48)) - 24
        write_volume(exported, (x**2 + y**2 + z**2 < 20**2).astype(np.float32), 6.0)
    count = 0
    for step in typed(page):
        if isinstance(step, str):
            exec(step, {})
            with Path("my.yaml").open("a") as file:
                file.write("masks: {focus: focus.mrc}\n")
            continue
        said = emjax(*step)
        assert said.code == 0, f"emjax {' '.join(step)}: {said.err}"
        count += 1
        if step[0] == "run":
            assert step[1] in started[-1]
    assert count == PAGES[page]
