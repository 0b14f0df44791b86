"""The harness finds planted faults, and blames the input that has them."""

import random
from pathlib import Path

import planted
import pytest
import run
from fuzz_target import Limits, randomness

EXPECTED = [None] * len(planted.FINE) + [fault for _, fault in planted.FAULTS]


def test_each_planted_fault_is_found_and_no_other(tmp_path: Path):
    numbers = range(len(EXPECTED))
    found = sorted(run.fuzz(numbers, 0, tmp_path, "planted", limits=Limits(seconds=1.5, memory=2**28)))
    assert [ended.number for ended in found] == [*numbers]
    assert {ended.kind: ended.fault for ended in found} == dict(
        zip((target.name for target in planted.TARGETS), EXPECTED, strict=True)
    )


def test_equal_seeds_give_equal_inputs():
    assert randomness(1, 5).random() == randomness(1, 5).random() == random.Random("1/5").random()
    assert randomness(1, 5).random() != randomness(1, 6).random() != randomness(2, 6).random()


def test_the_report_counts_and_says_how_to_see_it_again(capsys: pytest.CaptureFixture):
    ended = [
        run.Ended(4, "image", None, "read", 0.5, 2**20),
        run.Ended(6, "image", "hangs in f.py:g", "where", 0.0, 0),
        run.Ended(8, "image", "hangs in f.py:g", "where", 0.0, 0),
    ]
    assert run.report(ended, seed=3) == 2
    said = capsys.readouterr().out
    assert "image: 3 inputs, 1 read, 0 refused, 2 faults" in said
    assert "2× hangs in f.py:g\n    python tests/fuzz/run.py --seed 3 --input 6" in said
    assert "3 inputs, 2 faults of 1 kinds; at most 0.5 s (input 4) and 1 MiB (input 4)" in said
