import pytest

from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material
from chiasm.evaluation.next_views import NextViews
from chiasm.evaluation.rollouts import ImaginedWalks
from chiasm.evaluation.run import Run


def test_recorded_walks_are_measured_as_those_of_the_world(pretrained, recorded, settings):
    evaluation = evaluate(pretrained, recorded, settings)
    assert set(evaluation.skipped) == {
        *("caption to picture", "questions", "rollout, 16 frames ahead")
    }
    rows = [row for row in evaluation.rows if row.section == "next view"]
    assert {row.baseline_name for row in rows if row.headline} == {
        "last frame, decoded",
        "shuffled actions",
    }
    assert {row.num_clusters for row in rows} == {2}, "trajectories, which are the clusters"
    [shown, *_] = [sample for sample in evaluation.samples if sample.section == "next view"]
    [(_, action)] = shown.lines
    headlines = {
        row.name.split(" of ")[0]: row.name.endswith("mean") for row in rows if row.headline
    }
    assert headlines == {
        "PSNR": True,
        "feature distance": False,
        "perceptual distance": False,
    }, "each of the views that it is meant for"
    assert shown.panels[-1].label.startswith("imagined after dx=")
    assert shown.panels[-1].label.removeprefix("imagined after ") not in action


@pytest.mark.slow
def test_a_second_source_has_rows_of_its_own(pretrained, recorded, material, settings):
    both = Material(
        {**recorded.train, **material.train}, {**recorded.held_out, **material.held_out}
    )
    assert list(both.action_videos()) == ["walks", "action_video"]
    names = {row.name for row in evaluate(pretrained, both, settings).rows}
    of_next_views = {name for name in names if name.startswith("PSNR of the imagined next view")}
    assert of_next_views == {
        f"PSNR of the imagined next view, {source}{way}"
        for source in ("action_video", "walks")
        for way in ("", ", the mean")
    }


def test_walks_too_short_for_the_history_are_skipped_with_the_reason(
    pretrained, recorded, settings
):
    long = settings.model_copy(update={"history_frames": 8})
    evaluation = evaluate(pretrained, recorded, long)
    assert "history_frames = 8 is as long as every held-out walk" in evaluation.skipped["next view"]
    assert "0 of them behind evaluation.history_frames = 8" in evaluation.skipped["rollout"]
    assert any(row.section == "flow loss" for row in evaluation.rows)


@pytest.mark.parametrize(
    ("action", "place", "why"),
    [(None, 0, "of one walk"), ("action: dx=+1.00 dy=+0.00 dyaw=+0", None, "are the same")],
)
def test_without_other_actions_there_are_no_shuffled_ones(
    pretrained, recorded, settings, action, place, why
):
    """One held-out walk, or walks that all do the same."""
    source = recorded.held_out["walks"]

    class Alike:
        """The held-out walks, as one, or all with one action."""

        def __getattr__(self, name):
            return getattr(source, name)

        def action(self, before, after):
            return action or source.action(before, after)

        def place_of(self, frame):
            return source.place_of(frame) if place is None else place

    run, train = Run(pretrained, recorded, settings), recorded.train["walks"]
    found = NextViews().measure_walks(run, train, Alike())
    assert why in found.skipped["next view, shuffled actions"]
    assert {row.baseline_name for row in found.rows} == {
        *("last frame, decoded", "raw last frame", None)
    }
    rolled = ImaginedWalks().measure_walks(run, train, Alike())
    assert why in rolled.skipped["rollout, shuffled actions"]
    assert "shuffled actions" not in {row.baseline_name for row in rolled.rows}


def test_pieces_without_other_actions_are_left_out_of_that_comparison(
    pretrained, recorded, settings
):
    source = recorded.held_out["walks"]
    still = source.action(0, 0)

    class OneStands:
        """The walker of one walk stands, and the other one does at times."""

        def __getattr__(self, name):
            return getattr(source, name)

        def action(self, before, after):
            stands = source.place_of(before) == 0 or before % 3
            return still if stands else source.action(before, after)

    more = settings.model_copy(update={"next_views": 100})
    run = Run(pretrained, recorded, more)
    rows = NextViews().measure_walks(run, recorded.train["walks"], OneStands()).rows
    compared = next(row for row in rows if row.baseline_name == "shuffled actions")
    alone = next(row for row in rows if row.baseline_name == "raw last frame")
    assert compared.num_items < alone.num_items == 12
    assert compared.name == f"{alone.name}, where there are shuffled actions"
