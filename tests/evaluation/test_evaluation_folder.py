"""No evaluation overwrites another, nor what training wrote."""

import dataclasses
import json
from pathlib import Path

import pytest

from maskrcnn_jax.config import CocoSource, DetectConfig, ModelConfig, ShapesSource
from maskrcnn_jax.evaluation.folder import Evaluation


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    (tmp_path / "run").mkdir()
    return Evaluation(tmp_path / "run", 400, CocoSource(tmp_path / "coco_mini", "val"), ModelConfig())


def test_the_folder_has_step_and_data(evaluation: Evaluation):
    folder = evaluation.make_folder()
    assert folder == evaluation.checkpoint / "evaluation" / "step_000400_coco_mini_val"
    described = json.loads((folder / "evaluation.json").read_text())
    assert (described["checkpoint"], described["step"]) == ("run", 400)
    kind, folder = "maskrcnn_jax.data.sources.prepared:CocoSource", str(evaluation.data.folder)
    assert described["data"] == {"type": kind, "folder": folder, "split": "val", "keep_empty": False}
    assert described["model"]["detect"]["score_threshold"] == 0.05


def test_the_same_evaluation_has_the_same_folder(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch):
    folder = evaluation.make_folder()
    monkeypatch.chdir(evaluation.checkpoint.parent)
    relative = dataclasses.replace(evaluation, data=CocoSource(Path("coco_mini"), "val"))
    assert relative.make_folder() == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_another_evaluation_has_another_folder(evaluation: Evaluation):
    others = [
        evaluation,
        dataclasses.replace(evaluation, data=CocoSource(Path("/elsewhere/coco_mini"), "val")),
        dataclasses.replace(evaluation, model=ModelConfig(detect=DetectConfig(score_threshold=0.5))),
        dataclasses.replace(evaluation, step=800),
        dataclasses.replace(evaluation, data=CocoSource(Path("a b"), "val[:8]")),
        dataclasses.replace(evaluation, data=ShapesSource()),
    ]
    names = ["step_000400_coco_mini_val", "step_000400_coco_mini_val_2", "step_000400_coco_mini_val_3"]
    names += ["step_000800_coco_mini_val", "step_000400_a_b_val_8", "step_000400_shapes"]
    for _ in range(2):
        assert [other.make_folder().name for other in others] == names


def test_weight_files_of_one_stem_do_not_meet(tmp_path: Path):
    for name in ("a.pth", "a.h5"):
        (tmp_path / name).touch()
    one, two = (Evaluation(tmp_path / name, None, ShapesSource(), ModelConfig()) for name in ("a.pth", "a.h5"))
    assert one.make_folder() == tmp_path / "a.evaluation" / "shapes"
    assert two.make_folder() == tmp_path / "a.evaluation" / "shapes_2"


def test_a_folder_with_a_damaged_description_is_not_taken_for_the_same(evaluation: Evaluation):
    folder = evaluation.make_folder()
    (folder / "evaluation.json").write_text("{")
    assert evaluation.make_folder().name == f"{folder.name}_2"
