"""Guesses about a particle file, and the commented configuration made of them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from emjax.campaign.alone import reads
from emjax.campaign.init import draft_config, write_config
from emjax.campaign.settings import complete, load_schema, read_config
from emjax.errors import InputError
from tests.campaigns import ROOT


@pytest.fixture
def project(tmp_path: Path, particles: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the demo's particles where the demo has them."""
    shutil.copytree(particles, tmp_path / "data/demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def uncommented(text: str) -> str:
    return re.sub(r"^( *)#(?=\w)", r"\1", text, flags=re.MULTILINE)


def test_the_demos_configuration_is_what_its_particles_suggest(project: Path):
    # The shipped example has 3000 particles, for which more classes are tried.
    draft = draft_config("data/demo/particles.star").config
    assert draft["runs"]["em3d"].pop("n_classes") == [2, 3]
    wanted = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert wanted["runs"]["em3d"].pop("n_classes") == [4, 6]
    complete_ones = []
    for config in (draft, wanted):
        config["runs"]["em3d"]["n_classes"] = [4]
        complete_ones.append(complete(config))
    assert complete_ones[0] == complete_ones[1]


def test_what_is_written_reads_back_and_explains_every_option(project: Path):
    draft = draft_config("data/demo/particles.star")
    write_config("my.yaml", draft.config)
    assert yaml.safe_load(Path("my.yaml").read_text()) == draft.config
    assert read_config("my.yaml") == complete(draft.config)
    text = Path("my.yaml").read_text()

    def options(schema: dict, place: str = ""):
        for name, option in schema["properties"].items():
            if reads("campaign", f"{place}{name}"):
                yield name, option["description"]
            yield from options(option, f"{place}{name}.") if "properties" in option else ()

    for name, meaning in options(load_schema()):
        assert re.search(rf"^ *# {re.escape(meaning)}\n *#?{name}:", text, re.MULTILINE), name


def test_every_commented_line_is_an_option_that_may_be_uncommented(project: Path):
    write_config("my.yaml", draft_config("data/demo/particles.star").config)
    config = yaml.safe_load(uncommented(Path("my.yaml").read_text()))
    assert config["runs"]["subspace"]["seeds"] == 1000
    assert complete(config)["masks"] == read_config("my.yaml")["masks"]


def test_another_file_is_never_replaced(project: Path):
    Path("my.yaml").write_text("mine")
    with pytest.raises(InputError, match="my.yaml: found a file that is there"):
        write_config("my.yaml", draft_config("data/demo/particles.star").config)
    assert Path("my.yaml").read_text() == "mine"


def test_the_campaign_is_named_after_the_file_or_its_folder(project: Path):
    shutil.copy("data/demo/particles.star", "data/demo/apo ferritin.star")
    assert draft_config("data/demo/apo ferritin.star").config["campaign"] == "apo-ferritin"
    Path("data/demo").rename("data/job012")
    shutil.copy("data/job012/particles.star", "data/job012/run_it025_data.star")
    assert draft_config("data/job012").config["campaign"] == "job012"
    assert draft_config("data/job012/run_it025_data.star").config["campaign"] == "job012"


def test_stacks_that_are_found_from_another_folder_set_image_root(project: Path):
    deep = Path("Refine3D/a/b/job001")
    deep.mkdir(parents=True)
    text = Path("data/demo/particles.star").read_text()
    (deep / "run_data.star").write_text(text.replace("@particles", "@data/demo/particles"))
    config = draft_config(deep / "run_data.star").config
    assert "image_root" not in config  # from here, as RELION does
    Path("elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("elsewhere")
        config = draft_config(Path("..") / deep / "run_data.star").config
    assert config["image_root"] == str(project)
    shutil.rmtree("data")
    with pytest.raises(InputError, match="no such file"):
        draft_config(deep / "run_data.star")


@pytest.mark.parametrize(
    ("box", "pixel", "resolution"),
    [(48, 6.0, 24), (256, 1.3, 12), (512, 1.5, 24), (64, 0.8, 11), (10, 2.0, 5.0)],
)
def test_the_resolution_leaves_shells_and_stays_below_nyquist(
    box: int, pixel: float, resolution: float
):
    from emjax.campaign.init import _resolution
    from emjax.imaging.crop import filter_radius

    assert _resolution(box, pixel) == resolution
    assert 4 <= filter_radius(box, pixel, float(resolution)) <= 32
