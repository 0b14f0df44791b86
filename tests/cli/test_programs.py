"""`maskrcnn-jax` as a program: its version, the experiments that it lists and copies, and what usage calls it."""

import sys
from pathlib import Path

import pytest

import maskrcnn_jax
from maskrcnn_jax.cli.commands import main

ROOT = Path(__file__).parents[2]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/maskrcnn-jax", *map(str, arguments)])
    main()


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    run(monkeypatch, "--version")
    assert capsys.readouterr().out == f"maskrcnn-jax {maskrcnn_jax.__version__}\n"


def test_experiments_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    run(monkeypatch, "configs")
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "box", "AP", "mask", "AP"]
    assert [line.split()[0] for line in lines] == sorted(file.stem for file in (ROOT / "configs").glob("*.py"))
    (baseline,) = (line for line in lines if line.startswith("mask_rcnn_r50_fpn_1x "))
    assert baseline.split(maxsplit=3)[1:] == [
        "38.6",
        "35.2",
        "Mask R-CNN, ResNet-50-FPN, 90,000 steps (12 epochs of COCO): the common baseline.",
    ]


def test_a_copy_is_to_be_edited_and_never_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, "configs", "--copy", "finetune")
    run(monkeypatch, "configs", "--copy", "finetune", "--out", "mine.py")
    assert capsys.readouterr().out == "wrote finetune.py\nwrote mine.py\n"
    original = (ROOT / "configs" / "finetune.py").read_bytes()
    assert Path("finetune.py").read_bytes() == Path("mine.py").read_bytes() == original
    Path("mine.py").write_text("edited")
    with pytest.raises(SystemExit, match=r"^error: mine\.py: exists and is not overwritten"):
        run(monkeypatch, "configs", "--copy", "finetune", "--out", "mine.py")
    assert Path("mine.py").read_text() == "edited"
    run(monkeypatch, "configs", "--copy", "finetune", "--out", "mine.py", "--overwrite")
    assert Path("mine.py").read_bytes() == original


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--copy", "shaeps"), "error: name = 'shaeps': must be one of coco_mini, "),
        (("--out", "mine.py"), "error: --out and --overwrite are for a copy; name the experiment: --copy NAME"),
    ],
)
def test_what_cannot_be_copied_ends_with_a_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "configs", *arguments)
    assert str(ended.value).startswith(message) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("help", ["-h", "--help"])
def test_help_of_training_names_the_program(help: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    run(monkeypatch, "train", help)
    assert "    maskrcnn-jax train CONFIG [--init RUN_OR_CHECKPOINT]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("train", "shapes", "--help"), "usage: maskrcnn-jax train shapes [-h]"),
        (("evaluate", "--help"), "usage: maskrcnn-jax evaluate [-h] --checkpoint CHECKPOINT"),
        (("plan", "shapes", "--target", "cpu:1", "--", "--help"), "usage: maskrcnn-jax plan shapes [-h]"),
        (("prepare", "--help"), "usage: maskrcnn-jax prepare [-h]"),
    ],
)
def test_usage_names_the_program(
    arguments: tuple[str, ...], usage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert not ended.value.code and capsys.readouterr().out.startswith(usage)


def test_errors_of_training_are_its_own(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match=r"^error: shaeps: no such file; did you mean shapes\?$"):
        run(monkeypatch, "train", "shaeps")
