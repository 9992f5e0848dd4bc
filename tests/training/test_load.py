"""What is told of the experts' use."""

import math

import pytest
import torch

from chiasm.training.tally import load_values


def test_a_starved_modality_shows_where_all_together_look_even():
    text, vision, motion = [4, 4, 0, 0], [0, 0, 4, 2], [0, 0, 0, 2]
    values = load_values(torch.tensor([[text, vision, motion]]), ("text", "vision", "motion"))
    assert values["experts/largest_load/all"] == values["experts/entropy/all"] == 1
    assert values["experts/unused/all"] == 0
    assert values["experts/largest_load/text"] == 2
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert values["experts/entropy/vision"] == pytest.approx(entropy / math.log(4))
    assert values["experts/unused/vision"] == 0.5
    assert values["experts/largest_load/motion"] == 4
    assert values["experts/unused/motion"] == 0.75


def test_a_modality_without_positions_is_left_out():
    load = torch.tensor([[[3, 1], [0, 0]], [[2, 2], [0, 0]]])
    values = load_values(load, ("text", "vision"))
    assert values["experts/largest_load/text"] == 1.5, "the worst block's"
    assert not any(name.endswith("vision") for name in values)
