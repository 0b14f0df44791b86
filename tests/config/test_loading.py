"""Experiments on disk: files, overrides, and the copy in the run folder."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from maskrcnn_jax.config import (
    LOSSES,
    Albumentations,
    CocoSource,
    Config,
    ConfigError,
    DataConfig,
    Flip,
    ForeignFunction,
    MaskHead,
    ModelConfig,
    OptimizerConfig,
    Phase,
    Resize,
    RunConfig,
    ScaleJitter,
    ShapesSource,
    unchanged,
)
from maskrcnn_jax.config.loading import load_config, read_config, read_trusted_config, save_config

CONFIGS = Path(__file__).parents[2] / "configs"
BASELINE = CONFIGS / "mask_rcnn_r50_fpn_1x.py"
SHAPES = CONFIGS / "shapes.py"


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.py"
    path.write_text(text)
    return path


# Files


def test_missing_file_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"shaeps\.py: no such file; did you mean .*configs/shapes\.py\?"):
        load_config(SHAPES.with_name("shaeps.py"))


def test_missing_file_in_an_empty_folder(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such file; give the path"):
        load_config(tmp_path / "a.py")


def test_file_without_config(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"experiment\.py: defines no `config`; end it with"):
        load_config(write(tmp_path, "configuration = 1"))


def test_file_whose_config_is_something_else(tmp_path: Path):
    with pytest.raises(ConfigError, match="defines no `config`"):
        load_config(write(tmp_path, "config = {}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nconfig = 1 / 0", "line 2: ZeroDivisionError: division by zero; fix the config file"),
        ("config = (", "line 1: SyntaxError: '\\(' was never closed"),
        ("import nowhere_to_be_found", "line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("from maskrcnn_jax.config import *\nRunConfig(stepz=1)", "line 2: TypeError: .*'stepz'"),
    ],
)
def test_file_that_fails_is_named_with_its_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError, match=rf"experiment\.py, {message}") as caught:
        load_config(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_file_built_on_a_file_that_cannot_work_names_the_value(tmp_path: Path):
    (tmp_path / "base.py").write_text(
        "from maskrcnn_jax.config import *\nconfig = Config(run=RunConfig(keep=0))",
    )
    text = "from maskrcnn_jax.config.loading import load_config\nfrom pathlib import Path\n"
    path = write(tmp_path, text + "config = load_config(Path(__file__).with_name('base.py'))")
    with pytest.raises(ConfigError, match=r"run\.keep = 0"):
        load_config(path)


def test_another_model_takes_the_place_of_the_files():
    """One without masks, too, though the file keeps the best checkpoint by them: that is for training to refuse."""
    boxes = dataclasses.replace(load_config(SHAPES).model, mask_head=None)
    assert load_config(SHAPES, model=boxes).model == boxes
    assert load_config(SHAPES).run.best == "segm/AP"


# Overrides


def test_overrides_reach_every_depth():
    overrides = ["--optimizer.learning-rate", "0.01", "--data.train.folder", "data/mini", "--run.steps", "85000"]
    overrides += ["--model.rpn.proposals.nms-iou", "0.6", "--optimizer.clip-norm", "2", "--data.buckets", "832", "832"]
    config = load_config(BASELINE, [*overrides, "832", "1344", "1344", "832", "--model.mask-head.convs", "2"])
    assert config.optimizer.learning_rate == 0.01
    assert config.data.train == CocoSource(folder=Path("data/mini"))
    assert (config.run.steps, config.model.rpn.proposals.nms_iou, config.optimizer.clip_norm) == (85_000, 0.6, 2.0)
    assert config.data.buckets == ((832, 832), (832, 1344), (1344, 832))
    assert config.model.mask_head == MaskHead(convs=2)
    assert config.customize is unchanged


def test_the_weights_to_begin_with_have_a_short_name():
    short, long = (load_config(BASELINE, [name, "runs/mine"]) for name in ("--init", "--run.init"))
    assert short == long
    assert short.run.init == Path("runs/mine")


def test_overrides_reach_single_phases(tmp_path: Path):
    text = "from maskrcnn_jax.config import *\nphases = (Phase('heads', until=60), Phase(rate=0.1))\n"
    path = write(tmp_path, text + "config = Config(optimizer=OptimizerConfig(phases=phases))")
    overrides = ["--optimizer.phases.0.until", "30", "--optimizer.phases.1.trains", "4+"]
    assert load_config(path, overrides).optimizer.phases == (Phase("heads", until=30), Phase("4+", rate=0.1))


def test_overrides_leave_the_rest_alone():
    config = load_config(BASELINE, ["--run.seed", "7"])
    plain = load_config(BASELINE)
    assert config == dataclasses.replace(plain, run=dataclasses.replace(plain.run, seed=7))


def test_a_field_that_is_none_in_the_file_can_be_set_and_unset():
    overrides = ["--data.scale-jitter", "0.5", "2", "--data.buckets", "1024", "1024"]
    assert load_config(BASELINE, overrides).data.transforms == (Flip(0.5), ScaleJitter(0.5, 2.0))
    scratch = BASELINE.with_name("mask_rcnn_r50_fpn_lsj_400ep.py")
    edges = ["--data.shortest-edges", "1024", "--data.longest-edge", "1024"]
    assert load_config(scratch, ["--data.scale-jitter", "None", *edges]).data.transforms == (
        Flip(0.5),
        Resize((1024,), 1024),
    )


@pytest.mark.parametrize(
    ("file", "typo", "suggestion"),
    [
        ("mask_rcnn_r50_fpn_1x", "--model.rpn.proposals.nms-ious", "--model.rpn.proposals.nms-iou FLOAT"),
        ("mask_rcnn_r50_fpn_1x", "--data.scale-jiter", "--data.scale-jitter {None}|{FLOAT FLOAT}"),
        ("mask_rcnn_r50_fpn_1x", "--optimizer.clip-nrom", "--optimizer.clip-norm {None}|FLOAT"),
        ("mask_rcnn_r50_fpn_1x", "--model.mask-heads.convs", "--model.mask-head.convs INT"),
        ("faster_rcnn_r50_fpn_1x", "--model.box-hed.convs", "--model.box-head.convs INT"),
        ("shapes", "--data.train.sed", "--data.train.seed INT"),
    ],
)
def test_a_misspelt_override_gets_a_suggestion(
    capsys: pytest.CaptureFixture[str], file: str, typo: str, suggestion: str
):
    with pytest.raises(SystemExit) as caught:
        load_config(CONFIGS / f"{file}.py", [typo, "1"])
    message = capsys.readouterr().err
    assert caught.value.code == 2
    assert f"Unrecognized options: {typo}" in message
    assert "Perhaps you meant" in message and suggestion in message


@pytest.mark.parametrize(("name", "value"), [("--run.steps", "abc"), ("--model.dtype", "half"), ("--run.seed", "1.5")])
def test_an_override_of_the_wrong_type_is_named(capsys: pytest.CaptureFixture[str], name: str, value: str):
    with pytest.raises(SystemExit):
        load_config(SHAPES, [name, value])
    message = capsys.readouterr().err
    assert name in message and value in message


def test_an_override_is_checked_for_its_value_too():
    with pytest.raises(ConfigError, match=r"model\.rpn\.proposals\.nms_iou = 1\.5: must lie between 0 and 1"):
        load_config(SHAPES, ["--model.rpn.proposals.nms-iou", "1.5"])


# Run folders


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_what_is_saved_is_read_again(tmp_path: Path, path: Path):
    config = load_config(path)
    save_config(config, tmp_path / "runs" / "one")
    again = read_config(tmp_path / "runs" / "one")
    assert again == config
    assert hash(again) == hash(config)
    assert again.customize is unchanged


def test_every_kind_of_value_is_read_again(tmp_path: Path):
    model = ModelConfig(num_classes=3, class_names=("a", "b", "c"), mask_head=None, background_outputs=True)
    data = DataConfig(train=ShapesSource(seed=5), validation=CocoSource(Path("x/y")), buckets=((1024, 1024),))
    data = dataclasses.replace(data, transforms=(ScaleJitter(0.1, 2.0), Albumentations(parameters='{"p": 0.5}')))
    optimizer = OptimizerConfig(phases=(Phase("heads", until=100), Phase("backbone|fpn", rate=0.1)))
    config = dataclasses.replace(Config(), model=model, data=data, optimizer=optimizer, run=RunConfig(best="bbox/AP"))
    save_config(config, tmp_path)
    assert read_config(tmp_path) == config


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path: Path):
    save_config(Config(), tmp_path)
    save_config(dataclasses.replace(Config(), run=RunConfig(seed=3)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert read_config(tmp_path).run.seed == 3


def test_the_file_is_plain_and_readable(tmp_path: Path):
    save_config(Config(), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    kind = "maskrcnn_jax.data.sources.prepared:CocoSource"
    assert values["data"]["train"] == {"type": kind, "folder": "data/coco", "split": "train", "keep_empty": False}
    assert values["model"]["backbone"]["type"] == "maskrcnn_jax.nn.backbones.resnet:ResNet"
    assert [loss["type"].rpartition(":")[2] for loss in values["losses"]] == [type(loss).__name__ for loss in LOSSES]
    assert values["model"]["rpn"]["anchors"]["sizes"] == [32.0, 64.0, 128.0, 256.0, 512.0]
    assert values["customize"] == "maskrcnn_jax.config:unchanged"


def test_a_function_of_the_experiment_file_stays_a_name_until_it_is_trusted(tmp_path: Path):
    text = "from maskrcnn_jax.config import *\nWORD = 'forked'\ndef fork(model):\n    return (model, WORD)\n"
    config = load_config(write(tmp_path, text + "config = Config(customize=fork)"))
    assert config.customize("model") == ("model", "forked")
    save_config(config, tmp_path)
    (tmp_path / "experiment.py").write_text(text + f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    again = read_config(tmp_path)
    assert again == read_config(tmp_path) and hash(again) == hash(read_config(tmp_path))
    assert dataclasses.replace(again, customize=unchanged) == dataclasses.replace(config, customize=unchanged)
    name = f"{tmp_path / 'experiment.py'}:fork"
    message = f"{tmp_path / 'config.json'}: customize = {name!r} is code outside maskrcnn_jax, and a run folder never"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        again.customize("model")
    assert not (tmp_path / "ran").exists()
    save_config(again, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["customize"] == name
    assert read_trusted_config(tmp_path).customize("model") == ("model", "forked")
    assert (tmp_path / "ran").exists()


def test_a_trusted_function_of_a_module_is_the_same_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_fork.py").write_text("def fork(model):\n    return model\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = "from maskrcnn_jax.config import Config\nfrom my_fork import fork\nconfig = Config(customize=fork)"
    config = load_config(write(tmp_path, text))
    save_config(config, tmp_path)
    assert read_trusted_config(tmp_path) == config
    monkeypatch.delitem(sys.modules, "my_fork")
    (tmp_path / "my_fork.py").write_text("def other(model):\n    return model\n")
    assert read_config(tmp_path).customize == ForeignFunction("my_fork:fork")
    assert "my_fork" not in sys.modules
    message = r"config\.json: customize = 'my_fork:fork': cannot be imported .*start where"
    with pytest.raises(ConfigError, match=message):
        read_trusted_config(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "maskrcnn_jax.config.loading:runpy.run_path",
        "maskrcnn_jax.config.loading:write_text",
        "maskrcnn_jax.checkpoints.checkpoint:shutil",
        "maskrcnn_jax.config:Config",
        "maskrcnn_jax.nowhere:unchanged",
        "maskrcnn_jax..config:unchanged",
        "maskrcnn_jax.config:",
    ],
)
def test_names_in_the_package_lead_to_its_own_functions_only(tmp_path: Path, name: str):
    save_config(Config(), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"customize": name}))
    with pytest.raises(ConfigError, match=r"config\.json: customize = 'mask.*maskrcnn_jax has no such function"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["maskrcnn_jaxed:f", "os:abort", "builtins:exec", "x.py:f", "./maskrcnn_jax/x.py:f"])
def test_other_names_stay_names(tmp_path: Path, name: str):
    save_config(dataclasses.replace(Config(), customize=ForeignFunction(name)), tmp_path)
    assert read_config(tmp_path).customize == ForeignFunction(name)


def test_only_a_run_folder_can_be_trusted(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"--trust-code: .*weights\.pth is no run folder"):
        read_trusted_config(tmp_path / "weights.pth")


def edited(folder: Path, section: str, name: str, value: object) -> Path:
    """A run folder whose config.json holds another value."""
    save_config(Config(), folder)
    values = json.loads((folder / "config.json").read_text())
    values[section][name] = value
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("section", "name", "value", "message"),
    [
        ("run", "stepz", 1, r"run\.stepz = 1: unknown field; RunConfig has folder, init, steps"),
        ("run", "steps", "1", r"run\.steps = '1': must be of type int"),
        ("data", "train", {"folder": 1}, r"data\.train\.folder = 1: must be a path"),
        ("data", "buckets", [[32, "x"]], r"data\.buckets\[0\]\[1\] = 'x': must be of type int"),
        ("sampling", "anchors", {"count": 1}, r"sampling\.anchors\.foreground_iou = None: is missing"),
        ("run", "keep", 0, r"run\.keep = 0: must be positive"),
    ],
)
def test_a_wrong_value_in_the_file_is_named(tmp_path: Path, section: str, name: str, value: object, message: str):
    with pytest.raises(ConfigError, match=rf"config\.json: {message}"):
        read_config(edited(tmp_path, section, name, value))


def test_a_field_newer_than_the_run_takes_its_default(tmp_path: Path):
    save_config(dataclasses.replace(Config(), run=RunConfig(keep=9, seed=4)), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["run"]["keep"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert read_config(tmp_path).run == RunConfig(seed=4)


def test_a_folder_without_config_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config\.json: no such file; give a run folder"):
        read_config(tmp_path)
