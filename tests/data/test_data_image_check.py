import logging
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteCoco, instances, square, written

from maskrcnn_jax.data.prepare.run import prepare


def test_images_of_twelve_bits_in_sixteen_are_noticed(
    write_coco: WriteCoco, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = write_coco(train=instances([square(1, 10, 7, 2, 3, 10)]))
    # White of 12 bits is 4095, which becomes 4095 / 256 = 15; one more, 4096, becomes 16.
    for name, white in (("010", 4095), ("020", 4096)):
        data = written(np.full((40, 60), white, np.uint16), "PNG")
        (folder / "train" / f"{name}.png").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        prepare(folder, tmp_path / "out")
    [message] = [message for message in caplog.messages if "almost black" in message]
    assert "1 image almost black, with no value above 15 of 255" in message and message.endswith("by 16: 010.png")
