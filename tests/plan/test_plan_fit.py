from collections.abc import Callable

import pytest

from maskrcnn_jax.plan.largest_batch import MOST, find_largest_batch


def tried(needed, memory: int, first: int) -> list[int]:
    """The batches that were tried, in order."""
    return list(find_largest_batch(needed, memory, first))


@pytest.mark.parametrize(
    ("needed", "memory", "first", "expected"),
    [
        # 3 + 2 n ≤ 30 for n ≤ 13: after 4 and 8 the line gives 13.
        (lambda n: 3 + 2 * n, 30, 4, [4, 8, 13]),
        # 32 needs 67, 16 needs 35: a first batch that is too large is halved.
        (lambda n: 3 + 2 * n, 30, 32, [32, 16, 13]),
        (lambda n: 3 + 2 * n, 11, 2, [2, 4]),
        (lambda n: 3 + 2 * n, 10, 2, [2, 4, 3]),
        # n² ≤ 200: the line through 4 and 8 (12 n − 32) gives 19, which is too large; that through 4 and 19 (23 n − 76)
        # gives 12, which has been tried by then.
        (lambda n: n * n, 200, 4, [4, 8, 19, 12]),
        (lambda n: 100 + n, 50, 1, [1]),
        (lambda n: 100 + n, 50, 4, [4, 2, 1]),
    ],
    ids=["line", "halved", "first is largest", "between the first", "not linear", "one does not fit", "none fits"],
)
def test_the_batches_that_are_tried(needed: Callable[[int], int], memory: int, first: int, expected: list[int]):
    seen = find_largest_batch(needed, memory, first)
    assert list(seen) == expected and all(seen[n] == needed(n) for n in seen)


def test_a_larger_batch_that_takes_less_memory():
    """Hundredths of GiB as compiled for a GPU that has 5933: 31 images take less than 30, and the search continues."""
    measured = {8: 1577, 16: 3099, 30: 5736, 31: 5549}
    # 4356 more than 8 images take: 190.25 each after 8 and 16, 22.9 more; 189.05 after 8 and 30, 23.04; 172.7, 25.2.
    assert tried(lambda n: measured.get(n, 6000), 5933, first=8)[:5] == [8, 16, 30, 31, 33]


def test_the_number_of_compilations_is_bounded():
    """A compiler that trades memory for time makes memory a step function of the batch."""
    seen = find_largest_batch(lambda n: 60 if n < 1000 else 200, 100, first=4)
    assert len(seen) <= MOST


@pytest.mark.parametrize("memory", [20, 37, 64, 100, 1000])
@pytest.mark.parametrize("first", [1, 2, 5, 16, 64])
def test_the_largest_of_any_line(memory: int, first: int):
    """7 + 5 n ≤ memory."""
    seen = find_largest_batch(lambda n: 7 + 5 * n, memory, first)
    assert max(n for n, size in seen.items() if size <= memory) == (memory - 7) // 5
