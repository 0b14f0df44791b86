"""The report on weights: sources of every kind, two checkpoints side by side, and the command."""

import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from small import CONFIG, build
from small import change as changed

from maskrcnn_jax.__main__ import main
from maskrcnn_jax.checkpoints.checkpoint import steps
from maskrcnn_jax.checkpoints.convert.own import write_safetensors
from maskrcnn_jax.checkpoints.convert.torchvision_export import write_torchvision
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.checkpoints.formats.torch_writer import write_state_dict
from maskrcnn_jax.config import Config, ResNet
from maskrcnn_jax.config.loading import save_config
from maskrcnn_jax.inspect.weights.change import compare, part_table
from maskrcnn_jax.inspect.weights.figures import change_figures
from maskrcnn_jax.inspect.weights.inspected import open_weights
from maskrcnn_jax.inspect.weights.source import read_source, with_same_names
from maskrcnn_jax.inspect.weights.steps import change, layer_change
from maskrcnn_jax.nn.params import flatten

TORCHVISION = changed(
    CONVENTIONS,
    num_classes=3,
    class_names=(),
    backbone=ResNet(depth=18, width=8),
    fpn__channels=16,
    box_head__fcs=(32, 32),
    mask_head__convs=1,
    mask_head__channels=16,
)


def arrays_of(config=CONFIG.model) -> dict[str, np.ndarray]:
    _, params, statistics = flatten(build(config))
    return {name: np.array(array) for name, array in jax.device_get(params | statistics).items()}


def test_changes_worked_out_by_hand():
    # ‖(3, 4)‖ = 5; difference (1, −7): √50; cosine (3·4 − 4·3) / 25 = 0; greatest change 7
    before = {"a": np.array([3.0, 4.0]), "b": np.zeros(2), "c": np.ones((2, 2)), "d": np.ones(1), "e": np.zeros(1)}
    after = {"e": np.zeros(1), "b": np.ones(2), "a": np.array([4.0, -3.0]), "c": np.ones((2, 3)), "f": np.ones(1)}
    found = compare(before, after)
    assert [change.name for change in found.changes] == ["e", "b", "a"]
    e, b, a = found.changes
    assert (a.relative, a.cosine, a.largest) == pytest.approx((50**0.5 / 5, 0, 7))
    assert b.relative == np.inf and np.isnan(b.cosine)
    assert e.relative == 0
    assert (found.missing, found.added) == (["d"], ["f"])
    assert found.reshaped == ["c: 2×2 before, 2×3 after"]


def test_parts_are_pooled():
    # head: ‖before‖ = √(3² + 4²) = 5, ‖difference‖ = √(0² + 2.5²)
    before = {"backbone.a": np.ones(4), "head.a": np.array([3.0]), "head.b": np.array([4.0])}
    table = part_table(compare(before, before | {"head.b": np.array([6.5])}).changes)
    assert table.entries == [("backbone", 1, 1, 0.0, 0.0), ("head", 2, 1, pytest.approx(0.5), 2.5)]


def test_unchanged_and_broken_kernels_have_no_point():
    rng = np.random.default_rng(0)
    before = {f"layer{n}.kernel": rng.normal(size=(3, 4)) for n in range(3)}
    after = {"layer0.kernel": before["layer0.kernel"], "layer1.kernel": -before["layer1.kernel"]}
    after["layer2.kernel"] = np.full((3, 4), np.nan)
    [figure] = change_figures(compare(before, after).changes)
    relative, angle = (axes.lines[0].get_xdata() for axes in figure.axes)
    np.testing.assert_allclose(relative, [np.nan, 2, np.nan])  # ‖−2a‖ / ‖a‖
    np.testing.assert_allclose(angle, [np.nan, 180, np.nan])


def test_a_file_of_another_system_is_read_with_this_project_s_names(tmp_path: Path):
    expected = arrays_of(TORCHVISION)
    path = write_torchvision(tmp_path / "model.pth", expected, TORCHVISION)[0]
    source = read_source(path)
    assert source.config == TORCHVISION and source.arrays.keys() == expected.keys()
    assert all((source.arrays[name] == expected[name]).all() for name in expected)
    assert next(iter(source.arrays)).startswith("backbone.stem")


def test_missing_arrays_are_not_filled_in(tmp_path: Path):
    """An ImageNet backbone has no heads."""
    path = write_torchvision(tmp_path / "model.pth", arrays_of(TORCHVISION), TORCHVISION)[0]
    stored = read_source(path, as_stored=True)
    assert stored.config is None and "backbone.body.conv1.weight" in stored.arrays
    prefix = "backbone.body."
    backbone = {name.removeprefix(prefix): a for name, a in stored.arrays.items() if name.startswith(prefix)}
    write_state_dict(tmp_path / "backbone.pth", backbone | {"fc.weight": np.zeros((9, 64), np.float32)})
    source = read_source(tmp_path / "backbone.pth")
    assert {name.partition(".")[0] for name in source.arrays} == {"backbone"}
    assert "it has none for box_head, fpn, mask_head, rpn_head" in source.about


def test_a_file_of_no_known_system_keeps_its_names(tmp_path: Path):
    write_state_dict(tmp_path / "a.pth", {"my.weight": np.ones((2, 2), np.float32)})
    source = read_source(tmp_path / "a.pth")
    assert list(source.arrays) == ["my.weight"] and source.config is None
    assert "does not convert: unrecognised checkpoint format" in source.about


def test_two_files_are_compared_by_the_names_that_both_have(tmp_path: Path):
    """One fits a system and the other does not: both are compared as they are stored."""
    arrays = arrays_of(TORCHVISION)
    good = write_torchvision(tmp_path / "good.pth", arrays, TORCHVISION)[0]
    stored = dict(read_source(good, as_stored=True).arrays)
    strange = stored | {"backbone.extra.weight": np.ones((2, 2), np.float32)}
    strange["rpn.head.cls_logits.bias"] = strange["rpn.head.cls_logits.bias"] + 1
    write_state_dict(tmp_path / "strange.pth", strange)
    first, second = with_same_names(read_source(good), read_source(tmp_path / "strange.pth"))
    found = compare(first.arrays, second.arrays)
    assert found.added == ["backbone.extra.weight"] and not found.missing
    assert [change.name for change in found.changes if change.difference] == ["rpn.head.cls_logits.bias"]
    assert with_same_names(second, read_source(good))[1].arrays.keys() == stored.keys()
    assert with_same_names(first, first) == (first, first)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", "inspect", "weights", *map(str, arguments)])
    main()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "model.safetensors", arrays_of(), CONFIG.model)[0]


def test_the_command_names_what_is_flagged(model: Path, tmp_path: Path, monkeypatch, capsys):
    broken = arrays_of()
    broken["fpn.lateral.0.conv.kernel"][:] = 0
    broken["fpn.lateral.0.conv.bias"][1] = np.nan
    other = write_safetensors(tmp_path / "broken.safetensors", broken, CONFIG.model)[0]
    out = tmp_path / "page"
    run(monkeypatch, other, "--against", model, "--out", out)
    assert capsys.readouterr().out.splitlines() == [
        f"fpn.lateral.0.conv.bias: non-finite: 1 of {CONFIG.model.fpn.channels} values",
        "fpn.lateral.0.conv.kernel: dead: all values are 0",
        f"2 of {len(broken)} tensors are flagged: {out / 'index.html'}",
    ]
    page = (out / "index.html").read_text()
    assert all(name in page for name in broken)
    assert re.search(r"P2[^.]* 1,000", page)
    assert re.search(r"<td[^>]*>backbone\.depth</td><td[^>]*>18</td>", page)


def test_without_change_there_is_no_figure(model: Path):
    weights = open_weights(model, model)
    assert [*layer_change(weights).figures] == []
    assert layer_change(open_weights(model)) is change(open_weights(model)) is None


def test_the_command_reads_runs_and_their_steps(finished_run: Path, tmp_path: Path, monkeypatch, capsys):
    latest = steps(finished_run)[-1]
    run(monkeypatch, finished_run, "--against-step", str(latest), "--out", tmp_path / "page")
    count = re.search(r"of (\d+) tensors are flagged", capsys.readouterr().out)[1]
    page = (tmp_path / "page" / "index.html").read_text()
    assert f"weights at step {latest} of the run" in page
    assert f"<dt>unchanged</dt><dd>{count}</dd>" in page
    with pytest.raises(SystemExit, match=r"error: .*holds no checkpoint of step 123456"):
        run(monkeypatch, finished_run, "--against-step", "123456", "--out", tmp_path / "page")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.pth",), "nothing.pth does not exist; give the path of a file of weights"),
        (("text.pth",), "text.pth is no file of weights: it is text"),
        (("model.safetensors", "--step", "3"), "step = 3: only run folders have steps; leave it out"),
        (("model.safetensors", "--against", "nothing.pth"), "nothing.pth does not exist"),
        (("run",), "holds no checkpoint"),
        (("model.safetensors", "--out", "taken"), "holds files that are not a report"),
    ],
)
def test_bad_input_gets_a_line(arguments: tuple[str, ...], message: str, model: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "text.pth").write_text("weights")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("mine")
    save_config(Config(), tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    out = () if "--out" in arguments else ("--out", "page")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments, *out)
    assert str(ended.value).startswith("error: ") and message in str(ended.value)
    assert len(str(ended.value).splitlines()) == 1
    assert not (tmp_path / "page").exists() and (tmp_path / "taken" / "thesis.tex").read_text() == "mine"
