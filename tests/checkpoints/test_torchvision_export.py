"""Our models in torchvision's names and back; the file that builds them. torch runs them in `tests/parity`."""

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from small import CONFIG, build, change

from maskrcnn_jax.checkpoints.convert.torchvision_export import to_torchvision, write_torchvision
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS, recognise
from maskrcnn_jax.checkpoints.convert.torchvision_script import script
from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import BoxHead, ConfigError, ModelConfig, PoolConfig, ResNet
from maskrcnn_jax.files.ending import WrongEnding
from maskrcnn_jax.nn.params import flatten

THEIRS = change(
    CONVENTIONS,
    num_classes=3,
    class_names=(),
    backbone=ResNet(depth=18, width=8),
    fpn__channels=16,
    box_head__fcs=(32, 32),
    mask_head__convs=2,
    mask_head__channels=8,
)
"""A small model with all of torchvision's conventions."""

CASES = {
    "v1": THEIRS,
    "v2": change(
        THEIRS,
        backbone=ResNet(depth=50, width=8, norm="batch"),
        fpn__norm="batch",
        rpn__convs=2,
        box_head=BoxHead(convs=2, fcs=(32,), norm="batch"),
        mask_head__norm="batch",
    ),
    "ResNeXt with group norm": change(
        THEIRS,
        backbone=ResNet(depth=50, width=8, norm="group", inner_width=16, groups=4),
        fpn__norm="group",
        box_head=BoxHead(pool_size=5, convs=1, fcs=(32, 24, 16), norm="group"),
    ),
    "Faster R-CNN": change(THEIRS, mask_head=None, num_classes=1),
}


def arrays(config: ModelConfig) -> dict[str, np.ndarray]:
    """Random numbers, for norms and biases too."""
    _, params, statistics = flatten(build(config))
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=a.shape).astype(np.float32) for name, a in (params | statistics).items()}


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name: str):
    """The model is recognised as what it was, and every number is the same."""
    config, written = CASES[name], arrays(CASES[name])
    state_dict = to_torchvision(written, config)
    assert recognise({key: value.shape for key, value in state_dict.items()}) == config
    model = load_pretrained(state_dict)
    assert model.config == config
    read = flatten(model)[1] | flatten(model)[2]
    assert read.keys() == written.keys()
    for key, value in read.items():
        np.testing.assert_array_equal(value, written[key], err_msg=key)


def test_only_batch_norm_that_learns_has_counters():
    counters = {name: [key for key in to_torchvision(arrays(c), c) if "tracked" in key] for name, c in CASES.items()}
    # ResNet-50: one for each of 53 convolutions; the pyramid has 8, either head 2.
    assert {name: len(keys) for name, keys in counters.items()} == {
        "v1": 0,
        "v2": 53 + 8 + 2 + 2,
        "ResNeXt with group norm": 0,
        "Faster R-CNN": 0,
    }


def test_background_that_we_do_not_have_is_zero():
    config = change(THEIRS, background_outputs=False)
    ours = arrays(config)
    state_dict = to_torchvision(ours, config)
    deltas, masks = (
        state_dict[f"roi_heads.{name}.weight"] for name in ("box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
    )
    assert deltas.shape == (16, 32) and masks.shape == (4, 8, 1, 1)
    assert (deltas[:4] == 0).all() and (masks[0] == 0).all()
    np.testing.assert_array_equal(deltas[4:], ours["box_head.deltas.kernel"].T)
    # Background is our last class score, and torchvision's first.
    scores = state_dict["roi_heads.box_predictor.cls_score.bias"]
    np.testing.assert_array_equal(scores, ours["box_head.logits.bias"][[3, 0, 1, 2]])


def test_blue_first_turns_the_first_kernel_around():
    config = change(THEIRS, input__bgr=True)
    ours = arrays(config)
    kernel = to_torchvision(ours, config)["backbone.body.conv1.weight"]
    np.testing.assert_array_equal(kernel[5, 0], ours["backbone.stem.conv.kernel"][:, :, 2, 5])
    np.testing.assert_array_equal(kernel[5, 2], ours["backbone.stem.conv.kernel"][:, :, 0, 5])


REFUSED = {
    "input.interpolation": "truncated",
    "input.enlarge_only": True,
    "input.centered": True,
    "input.black_padding": True,
    "backbone.norm": "none",
    "backbone.pool_after": True,
    "fpn.p6": "conv",
    "rpn.channels": 24,
    "rpn.anchors.offset": 0.5,
    "rpn.proposals.joint": True,
    "rpn.proposals.clip_to_canvas": True,
    "pool.method": "crop_and_resize",
    "box_head.fcs": (),
    "box_head.fc_norm": "batch",
    "mask_head.paste": "rounded",
    "detect.best_class_only": True,
    "detect.min_size": 2.0,
    "inclusive_boxes": True,
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_torchvision_cannot_do_is_refused_by_name(field: str):
    config = change(THEIRS, **{field.replace(".", "__"): REFUSED[field]})
    with pytest.raises(ConfigError, match=re.escape(f"model.{field} = {REFUSED[field]!r}: ")):
        to_torchvision({}, config)


def test_groups_of_basic_blocks_are_refused():
    with pytest.raises(ConfigError, match="only bottlenecks have groups"):
        to_torchvision({}, change(THEIRS, backbone__groups=2))


def test_an_array_that_torchvision_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"my_head\.kernel \(3, 4\): torchvision's models have no such array"):
        to_torchvision({"my_head.kernel": np.zeros((3, 4))}, THEIRS)


def test_weights_and_a_file_that_builds_their_model(tmp_path: Path):
    ours = arrays(THEIRS)
    written = write_torchvision(tmp_path / "shapes.pth", ours, THEIRS)
    assert written == [tmp_path / "shapes.pth", tmp_path / "shapes.py"]
    file, expected = open_weights(written[0]), to_torchvision(ours, THEIRS)
    assert file.keys() == expected.keys()
    assert all((file[name] == expected[name]).all() for name in expected)
    assert 'with_name("shapes.pth")' in written[1].read_text()
    with pytest.raises(WrongEnding, match=r"a state dict of torch \(\.pth or \.pt\), not \.py; name it .*shapes\.pth$"):
        write_torchvision(tmp_path / "shapes.py", ours, THEIRS)


@pytest.mark.parametrize("taken", ["train.pth", "train.py"])
def test_no_file_is_overwritten_unless_asked(taken: str, tmp_path: Path):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{taken}: exists and is not overwritten"):
        write_torchvision(tmp_path / "train.pth", arrays(THEIRS), THEIRS, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == [taken] and (tmp_path / taken).read_text() == "mine"


@pytest.mark.parametrize("name", ["torch.pth", "random.pt"])
def test_a_name_that_python_would_import_is_refused(name: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"\.py beside it would be imported in place of"):
        write_torchvision(tmp_path / name, {}, THEIRS)


HOSTILE = (
    'a"b',
    "a'b",
    "a\\",
    'a\\"',
    '"""',
    "'''",
    'x"""\nimport os\nos.abort()\n"""',
    "line\nbreak",
    "\r",
    "\0",
    "\x1b[31m",
    "\u2028",
    "\u202e",
    "\ud800",
    "猫 😀",
    "{0}",
    "%s",
    "WEIGHTS",
    "\\N{BULLET}",
    "\\u00",
    "#",
    "$x_{$",
)


@pytest.mark.parametrize("seed", range(20))
def test_names_are_nothing_but_names_in_the_file(seed: int):
    """Python reads back each name, of classes and of the file, and sees the same statements as with plain names."""
    rng = np.random.default_rng(seed)
    names = ["".join(rng.choice(HOSTILE, 2)) + str(i) for i in range(3)]
    weights = "".join(rng.choice(HOSTILE, 2)).replace("/", "") + ".pth"
    text = script(change(THEIRS, class_names=tuple(names)), weights)
    text.encode("utf-8")
    tree, plain = ast.parse(text), ast.parse(script(change(THEIRS, class_names=("a", "b", "c")), "model.pth"))
    [categories] = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(categories) == ("__background__", *names)
    [load] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "load_model"]
    assert ast.literal_eval(load.args.defaults[0].args[0]) == weights
    assert [type(node) for node in ast.walk(tree)] == [type(node) for node in ast.walk(plain)]
    compile(text, "model.py", "exec")


@pytest.mark.parametrize("config", [*CASES.values(), CONFIG.model, ModelConfig()], ids=[*CASES, "small", "default"])
def test_the_file_is_python_and_imports_what_it_uses(config: ModelConfig, tmp_path: Path):
    (tmp_path / "model.py").write_text(script(config, "model.pth"))
    check = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F,E5", "--line-length=120", "model.py"]
    checked = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def classes(config: ModelConfig) -> list[str]:
    return [node.name for node in ast.parse(script(config, "model.pth")).body if isinstance(node, ast.ClassDef)]


def test_torchvisions_own_conventions_are_its_own_calls():
    config = change(CONVENTIONS, backbone=ResNet(depth=101, inner_width=256, groups=32))
    assert classes(config) == []
    text = script(config, "model.pth")
    assert "ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=8, norm_layer=FrozenBatchNorm2d)" in text
    assert "model.rpn." not in text and "model.transform" not in text
    assert 'CATEGORIES = (\n    "__background__", "person", ' in text


@pytest.mark.parametrize(
    ("change_", "expected"),
    [
        ({"backbone__width": 32}, ["NarrowResNet"]),
        ({"rpn__anchors__rounded": False}, ["Anchors"]),
        ({"rpn__anchors__floor_stride": False}, ["Anchors"]),
        ({"pool": PoolConfig(aligned=True)}, ["Pool"]),
        ({"pool": PoolConfig(aligned=False, level_eps=0.0)}, ["Pool"]),
        ({"pool": PoolConfig(aligned=False, sampling_ratio=0)}, []),
        ({"input__interpolation": "rounded"}, ["Transform"]),
        ({"mask_head__paste": "exact"}, ["Transform"]),
        # torchvision infers the scales of the levels from images without padding.
        ({"input__buckets": ((832, 1344),)}, ["Pool", "Transform"]),
    ],
)
def test_what_torchvision_lacks_is_defined(change_: dict, expected: list[str]):
    assert classes(change(CONVENTIONS, **change_)) == expected


def test_numbers_that_constructors_do_not_take_are_set():
    config = change(
        CONVENTIONS,
        backbone__norm_eps=0.0,
        backbone__stride_in_1x1=True,
        rpn__proposals__min_size=0.0,
        rpn__proposals__max_log_scale=None,
        rpn__proposals__box_weights=(1.0, 1.0, 2.0, 2.0),
    )
    expected = """\
        body = ResNet(Bottleneck, [3, 4, 6, 3], norm_layer=partial(FrozenBatchNorm2d, eps=0.0))
        for stage in (body.layer2, body.layer3, body.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        model.rpn.min_size = 1e-30
        model.rpn.box_coder.weights = (1.0, 1.0, 2.0, 2.0)
        for coder in (model.rpn.box_coder, model.roi_heads.box_coder):
            coder.bbox_xform_clip = float("inf")
    """
    lines = [line.strip() for line in script(config, "model.pth").splitlines()]
    assert [line for line in map(str.strip, textwrap.dedent(expected).splitlines()) if line not in lines] == []
