"""The experiments that come with the package: found by name, described by their docstrings."""

import re
from pathlib import Path

import pytest

from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.config.shipped import FOLDER, find_experiment, read_experiment, shipped_experiments

ROOT = Path(__file__).parents[2]
NAMES = sorted(file.stem for file in (ROOT / "configs").glob("*.py"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are found wherever one is."""
    monkeypatch.chdir(tmp_path)


def test_a_checkout_ships_the_folder_that_one_edits():
    assert ROOT / "configs" == FOLDER
    assert [experiment.name for experiment in shipped_experiments()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_shipped_file(name: str):
    assert find_experiment(Path(name)) == ROOT / "configs" / f"{name}.py"
    assert load_config(name) == load_config(ROOT / "configs" / f"{name}.py")


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_the_same_experiment_wherever_it_lies(name: str):
    Path("copy.py").write_text(read_experiment(name), encoding="utf-8")
    assert load_config("copy.py") == load_config(name)


def test_a_file_of_the_same_name_is_another_experiment():
    Path("shapes.py").write_text("from maskrcnn_jax.config import *\nconfig = Config(run=RunConfig(seed=5))")
    assert (load_config("shapes.py").run.seed, load_config("shapes").run.seed) == (5, 0)


def test_a_run_folder_may_be_called_like_its_experiment():
    Path("shapes").mkdir()
    assert load_config("shapes", ["--run.folder", "shapes"]).run.folder == Path("shapes")


@pytest.mark.parametrize("path", ["shaeps", "shapes.py", "configs/shapes.py"])
def test_an_unknown_name_gets_a_suggestion(path: str):
    with pytest.raises(ConfigError, match=rf"^{re.escape(path)}: no such file; did you mean shapes\?$"):
        load_config(path)


def test_a_name_like_several_gets_them_all():
    with pytest.raises(ConfigError) as caught:
        load_config("mask_rcnn_r50_fpn_2x")
    assert {"mask_rcnn_r50_fpn_1x", "mask_rcnn_r50_fpn_3x"} <= set(re.findall(r"\w+", str(caught.value)))


def test_a_name_like_none_gets_the_command_that_lists_them():
    with pytest.raises(ConfigError, match=r"^zzz: no such file; give the path .*or a name that `maskrcnn-jax configs`"):
        load_config("zzz")


def test_the_published_metrics_are_those_of_the_readme():
    """Which has a table `| name.py | box AP | mask AP | source |`, an en dash for what the model does not predict."""
    table = re.findall(r"^\| `(\w+)\.py` \| ([\d.–]+) \| ([\d.–]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {one.name: (one.box_ap or "–", one.mask_ap or "–") for one in shipped_experiments() if one.box_ap}
    assert listed == {name: (box, mask) for name, box, mask in table}
    assert listed["mask_rcnn_r50_fpn_1x"] == ("38.6", "35.2") and listed["faster_rcnn_r50_fpn_1x"] == ("37.9", "–")


def test_an_experiment_that_is_not_shipped_cannot_be_read():
    with pytest.raises(ConfigError, match=r"name = 'nothing': must be one of coco_mini, .*, shapes$"):
        read_experiment("nothing")
