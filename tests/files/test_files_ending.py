"""The ending of what is written fits its content."""

from pathlib import Path

import pytest

from maskrcnn_jax.files.ending import WrongEnding, require_ending


@pytest.mark.parametrize("name", ["a.pth", "a.PT", "a.b.pth"])
def test_endings_that_fit(name: str):
    require_ending(Path(name), (".pth", ".pt"), "a state dict of torch")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x/a.onnx", r"x/a\.onnx: what is written is a program \(\.pth or \.pt\), not \.onnx; name it x/a\.pth$"),
        ("a", r"a: what is written is a program \(\.pth or \.pt\); name it a\.pth$"),
        (".pth", r"\.pth: what is written is a program \(\.pth or \.pt\); name it \.pth\.pth$"),
    ],
)
def test_another_ending_is_refused_with_a_name_that_fits(name: str, message: str):
    with pytest.raises(WrongEnding, match=message):
        require_ending(Path(name), (".pth", ".pt"), "a program")
