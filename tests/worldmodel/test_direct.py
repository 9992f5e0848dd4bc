"""Views imagined in one step from the context, against the next view of the summed action."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.actions import ActionFormat
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.inference.request import SamplingSettings
from chiasm.inference.tasks import next_view
from chiasm.inference.walks import WalkDocuments
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.rollout import Context

AHEAD, LEFT = "action: dx=+1.00 dy=+0.00 dyaw=+0", "action: dx=+0.00 dy=+0.00 dyaw=+90"
DRAW = SamplingSettings(steps=3, guidance=1.0)


@pytest.fixture
def direct(sampler) -> DirectViews:
    walks = WalkDocuments(views=2, horizon_frames=(1, 4))
    return DirectViews(replace(sampler.pretrained, walks=walks), DRAW)


def view(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def test_the_sum_of_actions_is_the_pose_that_they_lead_to(direct) -> None:
    assert direct.sums([AHEAD, LEFT, AHEAD, f"{LEFT} rel_t=-1"]) == [
        AHEAD,
        "action: dx=+1.00 dy=+0.00 dyaw=+90 rel_t=+2",
        "action: dx=+1.00 dy=+1.00 dyaw=+90 rel_t=+3",
        "action: dx=+1.00 dy=+1.00 dyaw=+180 rel_t=+2",
    ]


def test_each_view_is_the_next_view_behind_the_sum(sampler, direct) -> None:
    scripts = [(LEFT, AHEAD, AHEAD), (AHEAD, LEFT)]
    contexts = [Context((view(0),)), Context((view(1),))]
    found = direct.imagine(contexts, scripts, seed=[3, 8])
    assert [len(views) for views in found] == [3, 2]
    for number, (script, seed) in enumerate(zip(scripts, (3, 8), strict=True)):
        for step, text in enumerate(direct.sums(script)):
            seen = [[Image(view(number), target=False)]]
            [expected] = next_view(sampler, seen, [[text]], settings=DRAW, seed=seed)
            np.testing.assert_allclose(
                found[number][step].astype(int), expected.astype(int), atol=1
            )


def test_ends_are_last_views_and_equal_ones_are_imagined_once(sampler, direct) -> None:
    scripts = [(AHEAD, LEFT), (LEFT, AHEAD), (AHEAD, LEFT, LEFT, LEFT), (AHEAD, LEFT)]
    context = Context((view(0),))
    last = [views[-1] for views in direct.imagine([context] * 4, scripts, seed=2)]
    widths: list[int] = []
    decoder = sampler.pretrained.decoder
    hook = decoder.register_forward_pre_hook(lambda _, given: widths.append(len(given[0].ids_BT)))
    with torch.inference_mode():
        ends = direct.ends([context] * 4, scripts, seed=2)
    hook.remove()
    np.testing.assert_array_equal(ends, np.stack(last))
    assert max(widths) == 3


def test_what_it_cannot_imagine_is_said(sampler, direct) -> None:
    context = Context((view(0),))
    with pytest.raises(
        UserError, match=r"5 actions lead 5 frames ahead, .* 4 frames ahead at most"
    ):
        direct.ends([context], [(AHEAD,) * 5])
    with pytest.raises(UserError, match="cannot be read"):
        direct.imagine([context], [("action: go to the red torch [1/2]",)])
    keys = replace(
        sampler.pretrained, walks=WalkDocuments(views=2), actions=ActionFormat(style="keys")
    )
    with pytest.raises(UserError, match="the sum of several has no key"):
        DirectViews(keys, DRAW)
