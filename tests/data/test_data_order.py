from concurrent.futures import ThreadPoolExecutor

import numpy as np

from maskrcnn_jax.data.order import TrainOrder, slot_rng

GROUPS = (np.arange(0, 12), np.arange(12, 19))
"""With batches of 4: 3 batches of the first, 2 of the second, whose 7 images are filled up with one."""


def epoch(order: TrainOrder, number: int) -> np.ndarray:
    steps = range(number * order.steps_per_epoch, (number + 1) * order.steps_per_epoch)
    return np.stack([order.batch(step) for step in steps])


def test_every_epoch_shows_every_image():
    order = TrainOrder(GROUPS, 4, seed=0)
    assert order.steps_per_epoch == 5
    for number in range(3):
        counts = np.bincount(epoch(order, number).ravel(), minlength=19)
        assert (counts[:12] == 1).all()
        assert sorted(counts[12:]) == [1] * 6 + [2]


def test_a_batch_holds_one_group():
    for batch in epoch(TrainOrder(GROUPS, 4, seed=1), 0):
        assert len(np.unique(batch < 12)) == 1


def test_group_smaller_than_a_batch_starts_over():
    # 3 images in 8 slots: 2 or 3 times each.
    batch = TrainOrder([np.arange(3)], 8, seed=0).batch(0)
    assert sorted(np.bincount(batch)) == [2, 3, 3]


def test_epochs_and_seeds_differ():
    order = TrainOrder(GROUPS, 4, seed=0)
    assert (epoch(order, 0) != epoch(order, 1)).any()
    assert (epoch(order, 0) != epoch(TrainOrder(GROUPS, 4, seed=1), 0)).any()


def test_a_batch_depends_on_its_step_alone():
    steps = np.random.default_rng(0).permutation(60)
    forwards = TrainOrder(GROUPS, 4, seed=5)
    expected = [forwards.batch(step).tolist() for step in range(60)]
    shuffled = TrainOrder(GROUPS, 4, seed=5)
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(steps.tolist(), pool.map(shuffled.batch, steps.tolist()), strict=True))
    assert [found[step].tolist() for step in range(60)] == expected


def test_streams_of_slots_differ():
    draws = {slot_rng(*key).integers(2**62) for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]}
    order_stream = np.random.default_rng((0, 0, 0)).integers(2**62)
    assert len(draws | {order_stream}) == 5
