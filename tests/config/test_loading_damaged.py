"""Whatever stands in the place of an experiment or its copy in a run folder: one line names it."""

import os
from pathlib import Path

import pytest

from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.config.loading import load_config, read_config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"model": {', r"not valid JSON \(.*\); restore the file from a copy"),
        (b"", r"is empty \(0 bytes, no text\); restore"),
        (b"\xff\xfe\xff", "its text is not UTF-8"),
        (b"[" * 100_000, "its lists or objects are nested too deeply; restore"),
        (b"[" * 900 + b"]" * 900, r"Config = \[.*: must hold the fields of Config"),
        (b"[]", r"Config = \[\]: must hold the fields of Config"),
        (b"null", "Config = None: must hold the fields of Config"),
        (b'{"run": {"steps": ' + b"9" * 600 + b"}}", r"run\.steps = 9.*…: must be below 2\^63"),
        (
            b'{"optimizer": {"learning_rate": 1' + b"0" * 600 + b"}}",
            r"optimizer\.learning_rate = 10.*…: must be below 2\^63",
        ),
        (b'{"optimizer": {"learning_rate": NaN}}', r"optimizer\.learning_rate = nan: must be finite"),
        (b'{"optimizer": {"learning_rate": 1e999}}', r"optimizer\.learning_rate = inf: must be finite"),
        (b'{"run": {"folder": "a\\u0000b"}}', r"run\.folder = 'a\\x00b': must be a path that can exist"),
        (b'{"run": {"folder": "\\ud800"}}', r"run\.folder = '\\ud800': must be a path that can exist"),
        (b'{"model": {"class_names": ["\\ud800"]}}', r"model\.class_names\[0\] = '\\ud800': must be text that UTF-8"),
        (b'{"a\\nb' + b"c" * 9999 + b'": 1}', r"a\\nbc{96} = 1: unknown field; Config has model, sampling, losses"),
        (b'{"customize": 3}', r"customize = 3: must be \"module:name\""),
        (b'{"customize": "f"}', r"customize = 'f': must be \"module:name\""),
    ],
)
def test_damaged_content_is_named_in_one_line(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"config\.json: {message}") as caught:
        read_config(tmp_path)
    assert len(str(caught.value)) < 1000 and "\n" not in str(caught.value)


def test_what_is_no_file_is_not_opened(tmp_path: Path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match=r"config\.json: is a folder, not a regular file"):
        read_config(tmp_path)
    os.mkfifo(tmp_path / "experiment.py")
    with pytest.raises(ConfigError, match=r"experiment\.py: is a named pipe, not a regular file"):
        load_config(tmp_path / "experiment.py")
    with pytest.raises(ConfigError, match="/dev/zero: is a device"):
        load_config("/dev/zero")
