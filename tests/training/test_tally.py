import math

import pytest
import torch

from chiasm.training.losses import NOISE_BINS, Losses, Sums
from chiasm.training.objective import Objective
from chiasm.training.settings import InnerObjective, ObjectiveSettings, StreamObjective
from chiasm.training.tally import load_values, tally


def test_means_by_name_and_nothing_without_targets() -> None:
    losses = Losses(
        text=sums(10.0, 5, source=0),
        flow={
            "image": sums(6.0, 4, source=1, time=3),
            "series": sums(9.0, 2, source=0, time=9),
            "sound": sums(0.0, 0, source=0, time=0),
        },
        balance_sum=torch.tensor(0.0),
        router_z_sum=torch.tensor(0.0),
        position_count=torch.tensor(9),
        load_QXE=torch.zeros(0, 4, 0, dtype=torch.int64),
        inner={"image": sums(8.0, 4, source=1, time=3), "series": sums(1.0, 2, source=0, time=9)},
    )
    own = {"series": StreamObjective(flow_weight=0.5)}
    inner = InnerObjective(weight=0.25)
    settings = ObjectiveSettings(text_weight=1, flow_weight=3, streams=own, inner=inner)
    objective = Objective(settings)
    modalities = ("text", "vision", "motion", "sound")
    assert tally(losses, objective, ("books", "drawings"), modalities) == {
        "loss": 2.0 + 3 * 1.5 + 0.5 * 4.5 + 0.25 * (2.0 + 0.5),
        "text_loss": 2.0,
        "flow_loss": 1.5,
        "series/flow_loss": 4.5,
        "inner_loss": 2.0,
        "series/inner_loss": 0.5,
        "text_loss/books": 2.0,
        "inner_loss/drawings": 2.0,
        "series/inner_loss/books": 0.5,
        "flow_loss/drawings": 1.5,
        "series/flow_loss/books": 4.5,
        "flow_loss_by_time/0.3": 1.5,
        "series/flow_loss_by_time/0.9": 4.5,
        "inner_loss_by_time/0.3": 2.0,
        "series/inner_loss_by_time/0.9": 0.5,
    }


def sums(total: float, count: int, source: int, time: int | None = None) -> Sums:
    """All of it of one source and, where there is flow time, in one bin of it."""

    def placed(value: float, place: int | None, places: int, dtype: torch.dtype) -> torch.Tensor:
        parts = torch.zeros(places if place is not None else 0, dtype=dtype)
        if place is not None:
            parts[place] = value
        return parts

    return Sums(
        torch.tensor(total),
        placed(total, source, 2, torch.float64),
        placed(count, source, 2, torch.int64),
        placed(total, time, NOISE_BINS, torch.float64),
        placed(count, time, NOISE_BINS, torch.int64),
    )


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
