"""One TensorBoard file per run, read by tensorboardX's own record format, whatever killed the process before."""

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

from maskrcnn_jax.training.event_file import EventFile


def events(folder):
    """The events of the only file; the framing is length (8 bytes), checksum (4), content, checksum (4)."""
    (path,) = folder.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[12 + length + 4 :]
    return found


def values(folder):
    return [(event.step, value.tag, value.simple_value) for event in events(folder) for value in event.summary.value]


def write(folder, step, value):
    file = EventFile(folder, step)
    file.write(step, {"loss": value})
    file.close()


def test_every_start_appends_to_one_file(tmp_path):
    write(tmp_path, 1, 0.5)
    write(tmp_path, 2, 0.25)
    assert values(tmp_path) == [(1, "loss", 0.5), (2, "loss", 0.25)]
    starts = [event.step for event in events(tmp_path) if event.session_log.status == SessionLog.START]
    assert starts == [1, 2]
    assert [event.file_version for event in events(tmp_path) if event.file_version] == ["brain.Event:2"]


def test_the_file_is_byte_for_byte_what_tensorboardx_writes(tmp_path):
    write(tmp_path, 1, 0.5)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    writer = RecordWriter(str(tmp_path / "theirs"))
    for event in events(tmp_path):
        writer.write(event.SerializeToString())
    writer.close()
    assert path.read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("lost", [1, 3, 5, 20])
def test_a_record_that_was_cut_off_hides_nothing_after_it(tmp_path, lost):
    write(tmp_path, 1, 0.5)
    write(tmp_path, 2, 0.25)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    path.write_bytes(path.read_bytes()[:-lost])
    write(tmp_path, 2, 0.125)
    assert values(tmp_path) == [(1, "loss", 0.5), (2, "loss", 0.125)]


def test_zeros_at_the_end_after_a_power_cut_hide_nothing(tmp_path):
    write(tmp_path, 1, 0.5)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    path.write_bytes(path.read_bytes() + bytes(64))
    write(tmp_path, 2, 0.25)
    assert values(tmp_path) == [(1, "loss", 0.5), (2, "loss", 0.25)]
