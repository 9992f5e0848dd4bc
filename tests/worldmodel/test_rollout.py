"""Rollouts against the same steps taken one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import next_view
from chiasm.inference.walks import WalkDocuments
from chiasm.worldmodel.rollout import Context, Rollouts

AHEAD, LEFT = "action: dx=+1.00 dy=+0.00 dyaw=+0", "action: dx=+0.00 dy=+0.00 dyaw=+20"
DRAW = SamplingSettings(steps=3, guidance=1.0)


def view(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_with_documents_of_two_views_each_step_is_a_next_view(sampler) -> None:
    actions = (AHEAD, LEFT, LEFT)
    [views] = Rollouts(sampler, DRAW).imagine([Context((view(0),))], [actions], seed=5)
    last = view(0)
    for step, action in enumerate(actions):
        seen = [[Image(last, target=False)]]
        [last] = next_view(sampler, seen, [[action]], settings=DRAW, seed=5 + step)
        close(views[step], last)


def test_in_one_document_it_is_a_script(sampler) -> None:
    context = Context((view(0), view(1)), (LEFT,))
    rollouts = Rollouts(sampler, DRAW, context_views=2, document_views=5)
    [views] = rollouts.imagine([context], [(AHEAD, LEFT, AHEAD)], seed=2)
    spans = (Image(view(0), target=False), Text(LEFT), Image(view(1), target=True))
    request = Request(spans, 2, script=(AHEAD, LEFT, AHEAD))
    [expected] = sampler.generate([request], DRAW.model_copy(update={"max_items": 3}))
    close(views, np.stack([span.pixels() for span in expected if isinstance(span, Image)]))


def test_a_long_rollout_goes_on_behind_its_last_views(sampler) -> None:
    actions = (AHEAD, LEFT, AHEAD, LEFT)
    rollouts = Rollouts(sampler, DRAW, context_views=2, document_views=3)
    [views] = rollouts.imagine([Context((view(0), view(1)), (LEFT,))], [actions])
    shown, done = [view(0), view(1)], [LEFT]
    for step, action in enumerate(actions):
        images = [Image(each, target=False) for each in shown[-2:]]
        [new] = next_view(sampler, [images], [[done[-1], action]], settings=DRAW, seed=step)
        close(views[step], new)
        shown.append(new)
        done.append(action)


def test_views_leave_where_rows_are_too_short_for_the_documents_of_training(sampler) -> None:
    """Three views fit the row, whatever training had."""
    long = Rollouts(sampler, DRAW, context_views=8, document_views=9)
    actions, context = (AHEAD, LEFT, AHEAD, LEFT), Context((view(0),))
    positions = 6 + len(sampler.pretrained.text_tokenizer.encode(AHEAD))
    short = Sampler(replace(sampler.pretrained, context_positions=3 * positions))
    own = Rollouts(short, DRAW, context_views=8, document_views=9)
    three = Rollouts(sampler, DRAW, context_views=2, document_views=3)
    [views] = own.imagine([context], [actions])
    np.testing.assert_array_equal(views, three.imagine([context], [actions])[0])
    assert (views[3] != long.imagine([context], [actions])[0][3]).any()
    whole = Rollouts(short, DRAW, context_views=8, document_views=9, one_document=True)
    with pytest.raises(UserError, match="the model's context holds"):
        whole.imagine([context], [actions])


def test_a_window_that_stays_is_a_script_with_a_window(sampler) -> None:
    """As the sampler slides it; until a view leaves, it is as if all were read anew."""
    staying = DRAW.model_copy(update={"kept_window": True})
    context, actions = Context((view(0), view(1)), (LEFT,)), (AHEAD, LEFT, AHEAD)
    kept, anew = (
        Rollouts(sampler, own, context_views=3, document_views=4).imagine(
            [context], [actions], seed=2
        )[0]
        for own in (staying, DRAW)
    )
    request = Request(context.spans, 2, script=actions, window=4)
    [expected] = sampler.generate([request], DRAW.model_copy(update={"max_items": 3}))
    close(kept, np.stack([span.pixels() for span in expected if isinstance(span, Image)]))
    close(kept[:2], anew[:2])
    assert (kept[2] != anew[2]).any()


def test_imagined_views_are_read_with_noise_and_given_ones_are_not(sampler) -> None:
    noisy = DRAW.model_copy(update={"history_noise": 0.3})
    actions = (AHEAD, LEFT, LEFT)
    clean, noised = (
        Rollouts(sampler, own).imagine([Context((view(0),))], [actions], seed=5)[0]
        for own in (DRAW, noisy)
    )
    np.testing.assert_array_equal(clean[0], noised[0])
    assert (clean[1] != noised[1]).any()
    request = Request((Image(noised[0], target=False),), 6, script=(LEFT,), imagined=True)
    [expected] = sampler.generate([request], noisy.model_copy(update={"max_tokens": 0}))
    close(noised[1], next(each.pixels() for each in expected if isinstance(each, Image)))


def test_rollouts_run_beside_each_other_as_alone_whatever_their_lengths(sampler) -> None:
    context = Context((view(0),))
    rollouts = Rollouts(sampler, DRAW, document_views=3)
    actions = [(AHEAD,), (LEFT, LEFT, AHEAD), (AHEAD, LEFT)]
    together = rollouts.imagine([context] * 3, actions, seed=1)
    assert [len(views) for views in together] == [1, 3, 2]
    for views, own in zip(together, actions, strict=True):
        [alone] = rollouts.imagine([Context((view(0),))], [own], seed=1)
        close(views, alone)
    close(together[0][0], together[2][0])  # the same action under the same noise


def test_rollouts_may_have_noise_of_their_own(sampler) -> None:
    rollouts, context = Rollouts(sampler, DRAW), Context((view(0),))
    together = rollouts.imagine([context] * 2, [(AHEAD, LEFT)] * 2, seed=[4, 9])
    for views, seed in zip(together, (4, 9), strict=True):
        [alone] = rollouts.imagine([context], [(AHEAD, LEFT)], seed=seed)
        close(views, alone)
    assert not np.array_equal(*together)


def test_candidates_of_one_context_read_it_once(sampler) -> None:
    read: list[int] = []
    decoder = sampler.pretrained.decoder
    hook = decoder.register_forward_pre_hook(lambda _, given: read.append(len(given[0].ids_BT)))
    with torch.inference_mode():
        Rollouts(sampler, DRAW).imagine([Context((view(0),))] * 6, [(AHEAD,)] * 6)
    hook.remove()
    assert read[0] == 1
    assert max(read) == 6


def test_what_cannot_be_imagined_is_said(sampler) -> None:
    with pytest.raises(UserError, match="rollout 1 has no actions"):
        Rollouts(sampler, DRAW).imagine([Context((view(0),))] * 2, [(AHEAD,), ()])
    with pytest.raises(UserError, match="context_views = 2 of document_views = 2"):
        Rollouts(sampler, DRAW, context_views=2)
    with pytest.raises(ValueError, match="2 views have 0 actions"):
        Context((view(0), view(1)))


def test_rollouts_keep_to_the_documents_of_training(sampler) -> None:
    pretrained = replace(sampler.pretrained, walks=WalkDocuments(views=4))
    own = Rollouts(sampler, DRAW, context_views=3, document_views=4)
    context, actions = Context((view(0), view(1)), (LEFT,)), (AHEAD, LEFT, AHEAD)
    [views] = Rollouts.of(pretrained, DRAW).imagine([context], [actions])
    close(views, own.imagine([context], [actions])[0])


def test_instructions_keep_to_the_documents_of_training(sampler) -> None:
    context, said = Context((view(0),)), [f"action: turn around [{n}/3]" for n in (1, 2, 3)]
    for views, own in {
        None: Rollouts(sampler, DRAW, document_views=4),
        2: Rollouts(sampler, DRAW, document_views=2),
    }.items():
        walks = WalkDocuments(views=4, instruction_views=views)
        spoken = Rollouts.instructed(replace(sampler.pretrained, walks=walks), DRAW, 3)
        close(spoken.imagine([context], [said])[0], own.imagine([context], [said])[0])


def test_ends_are_last_views(sampler) -> None:
    rollouts, context = Rollouts(sampler, DRAW), Context((view(0),))
    scripts = [(AHEAD, LEFT), (LEFT,)]
    walks = rollouts.imagine([context] * 2, scripts, seed=3)
    ends = rollouts.ends([context] * 2, scripts, seed=3)
    close(ends, np.stack([views[-1] for views in walks]))


def test_a_model_without_actions_is_told(sampler) -> None:
    with pytest.raises(UserError, match="trained without actions"):
        Rollouts.of(sampler.pretrained, DRAW)
