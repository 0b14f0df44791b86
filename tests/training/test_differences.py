"""Differences between the configuration of a run folder and a given one, by dotted name."""

import dataclasses

from maskrcnn_jax.config import LOSSES, BoxRegression, Classification, Config, Mask
from maskrcnn_jax.training.run_folder import differences, listed


def test_the_changed_field_of_a_loss_is_named():
    losses = tuple(dataclasses.replace(loss, weight=2.0) if loss.name == "mask" else loss for loss in LOSSES)
    found = differences(Config(), dataclasses.replace(Config(), losses=losses))
    assert listed(tuple(found)) == "losses.mask.weight 1.0 → 2.0"


def test_other_losses_are_one_difference():
    box, mask = Config(losses=(BoxRegression(),)), Config(losses=(BoxRegression(), Mask()))
    assert [difference.name for difference in differences(box, mask)] == ["losses"]


def test_another_type_of_one_name():
    @dataclasses.dataclass(frozen=True)
    class Other(Classification):
        pass

    found = differences(Config(losses=(Classification(),)), Config(losses=(Other(),)))
    assert [difference.name for difference in found] == ["losses.classification"]
    assert "Classification(weight=1.0) → " in listed(tuple(found))
