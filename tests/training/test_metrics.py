"""The record survives kills and resumes; the console says rate, time left and values."""

import io
import json
import math
import os
import re

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from maskrcnn_jax.training import metrics
from maskrcnn_jax.training.metrics import MetricWriter


class Terminal(io.StringIO):
    """A console that claims to be a terminal."""

    def isatty(self):
        return True


def quiet(folder, **arguments):
    return MetricWriter(folder, total_steps=100, console=io.StringIO(), **arguments)


def events(folder):
    """The events in the TensorBoard files; the framing is length, crc, payload, crc."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            yield Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]


def test_read_returns_what_was_written(tmp_path):
    with quiet(tmp_path / "deep" / "run") as writer:
        writer.write(20, {"loss": 1.5, "loss/mask": 0.25})
        writer.write(20, {"segm/AP": 0.5})
    lines = (tmp_path / "deep" / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 20, "loss": 1.5, "loss/mask": 0.25},
        {"step": 20, "segm/AP": 0.5},
    ]
    assert metrics.read(tmp_path / "deep" / "run") == [json.loads(line) for line in lines]


def test_a_record_is_readable_before_close(tmp_path):
    writer = quiet(tmp_path)
    writer.write(1, {"loss": 2.0})
    assert metrics.read(tmp_path) == [{"step": 1, "loss": 2.0}]
    writer.close()


def test_not_finite_is_null_in_the_file_and_nan_when_read(tmp_path):
    with quiet(tmp_path) as writer:
        writer.write(1, {"a": math.nan, "b": math.inf, "c": 1.0})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "a": None, "b": None, "c": 1.0}
    (record,) = metrics.read(tmp_path)
    assert math.isnan(record["a"]) and math.isnan(record["b"]) and record["c"] == 1.0


def test_tensorboard_holds_the_same_values(tmp_path):
    with quiet(tmp_path) as writer:
        writer.write(20, {"loss": 1.5, "loss/mask": 0.25})
    found = [(event.step, value.tag, value.simple_value) for event in events(tmp_path) for value in event.summary.value]
    assert found == [(20, "loss", 1.5), (20, "loss/mask", 0.25)]


def test_tensorboard_hides_the_lost_part(tmp_path):
    """It drops earlier events from the step of a session start on."""
    quiet(tmp_path, first_step=20).close()
    starts = [event.step for event in events(tmp_path) if event.session_log.status == SessionLog.START]
    assert starts == [21]


def test_resuming_drops_the_lost_part(tmp_path):
    with quiet(tmp_path) as writer:
        for step in (10, 20, 30):
            writer.write(step, {"loss": float(step)})
    with quiet(tmp_path, first_step=20) as writer:
        writer.write(30, {"loss": -1.0})
    assert [(record["step"], record["loss"]) for record in metrics.read(tmp_path)] == [(10, 10.0), (20, 20.0), (30, -1)]


def test_a_new_run_in_an_old_folder_starts_empty(tmp_path):
    with quiet(tmp_path) as writer:
        writer.write(10, {"loss": 1.0})
    quiet(tmp_path).close()
    assert metrics.read(tmp_path) == []


def test_a_cut_off_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10, "loss": 1.0}\n{"step": 20, "lo')
    assert metrics.read(tmp_path) == [{"step": 10, "loss": 1.0}]
    with quiet(tmp_path, first_step=10) as writer:
        writer.write(20, {"loss": 2.0})
    assert path.read_text() == '{"step": 10, "loss": 1.0}\n{"step": 20, "loss": 2.0}\n'


@pytest.mark.parametrize(
    "line",
    [
        "{garbage",
        '{"loss": 1.0}',
        "3",
        "[" * 100_000,
        '{"step": 1.5}',
        '{"step": true}',
        '{"step": null}',
        '{"step": 2, "loss": "high"}',
        '{"step": 2, "loss": {}}',
        f'{{"step": 2, "loss": {10**400}}}',
    ],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(ValueError, match="line 2 is damaged"):
        metrics.read(tmp_path)


def test_a_line_that_is_no_text_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe\n{"step": 3}\n')
    with pytest.raises(metrics.RecordError, match=r"metrics\.jsonl, line 2 is damaged: '\\\\xff\\\\xfe'; remove"):
        metrics.read(tmp_path)


def test_a_folder_or_a_pipe_in_place_of_the_records_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(metrics.RecordError, match=r"metrics\.jsonl: is a folder"):
        metrics.read(tmp_path)
    (tmp_path / "metrics.jsonl").rmdir()
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(metrics.RecordError, match=r"metrics\.jsonl: is a named pipe"):
        metrics.read(tmp_path)


def test_the_last_evaluation_is_made_again_where_no_step_is_left(tmp_path):
    with quiet(tmp_path) as writer:
        writer.write(100, {"loss": 1.0})
        writer.write(100, {"segm/AP": 0.5})
    with quiet(tmp_path, first_step=100) as writer:
        writer.write(100, {"segm/AP": 0.5})
    assert metrics.read(tmp_path) == [{"step": 100, "loss": 1.0}, {"step": 100, "segm/AP": 0.5}]


def test_a_folder_without_records_has_none(tmp_path):
    assert metrics.read(tmp_path) == []


def test_plain_lines_when_not_on_a_terminal(tmp_path, monkeypatch):
    clock = iter([0.0, 4.0, 104.0, 106.0])  # opening, step 20, its evaluation, step 40
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(clock))
    console = io.StringIO()
    with MetricWriter(tmp_path, total_steps=1000, console=console) as writer:
        writer.write(20, {"loss": 1.5, "learning_rate": 0.02})
        writer.write(20, {"segm/AP": 0.25, "segm/AP/square": 0.3}, shown=["segm/AP"])
        writer.write(40, {"loss": 1.25})
    # 20 steps in 4 s = 5 steps/s, 980 left = 196 s = 3:16. Then 20 steps in 2 s = 10 steps/s (the 100 s of evaluation
    # do not count), 960 left = 96 s.
    assert console.getvalue().splitlines() == [
        "step   20/1000  5 steps/s  0:03:16 left  loss 1.5  learning_rate 0.02",
        "step   20/1000  segm/AP 0.25",
        "step   40/1000  10 steps/s  0:01:36 left  loss 1.25",
    ]


def test_the_rate_of_a_resumed_run_counts_its_own_steps(tmp_path, monkeypatch):
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(clock))
    console = io.StringIO()
    with MetricWriter(tmp_path, total_steps=1000, first_step=900, console=console) as writer:
        writer.write(920, {"loss": 1.0})
    assert "10 steps/s  0:00:08 left" in console.getvalue()


def test_one_live_line_on_a_terminal(tmp_path):
    console = Terminal()
    with MetricWriter(tmp_path, total_steps=100, console=console) as writer:
        writer.write(20, {"loss": 1.5})
        writer.write(20, {"segm/AP": 0.25})
        writer.write(40, {"loss": 1.25})
    text = console.getvalue()
    assert re.search(r"\r.*20/100 .*steps/s .*left  loss 1\.5", text)
    assert "\n".join(line for line in text.splitlines() if line.startswith("step 20  segm/AP 0.25"))
    assert re.search(r"\r.*40/100 .*loss 1\.25", text)


def test_durations():
    assert [metrics._duration(seconds) for seconds in (0.0, 59.6, 3661.0, -1.0)] == [
        "0:00:00",
        "0:01:00",
        "1:01:01",
        "0:00:00",
    ]
