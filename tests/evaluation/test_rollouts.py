"""Rollouts by horizon: against views that were imagined here, one by one."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from chiasm.evaluation.evaluation import Animation, Findings
from chiasm.evaluation.material import NothingToMeasure
from chiasm.evaluation.pictures import psnr, ssim
from chiasm.evaluation.pieces import cut_pieces
from chiasm.evaluation.rollouts import LAST, NEAREST, SHUFFLED, ImaginedWalks, frames_beaten
from chiasm.evaluation.run import Run
from chiasm.inference.pictures import feature_distance, features, through_tokenizer
from chiasm.inference.request import SamplingSettings
from chiasm.inference.walks import WalkDocuments
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.rollout import Context, Rollouts


@pytest.fixture(scope="module")
def sources(material):
    return material.train["action_video"], material.held_out["action_video"]


@pytest.fixture(scope="module")
def run(pretrained, material, settings) -> Run:
    return Run(pretrained, material, settings)


@pytest.fixture(scope="module")
def findings(run, sources) -> Findings:
    return ImaginedWalks().measure_walks(run, *sources)


def test_values_are_those_of_views_imagined_one_walk_at_a_time(
    run, pretrained, sources, settings, findings
):
    pieces = cut_pieces(run, sources[1], settings.rollouts, 2)
    sampling = SamplingSettings(steps=settings.steps, guidance=settings.next_view_guidance)
    rollouts = Rollouts.of(pretrained, sampling)
    imagined = [
        rollouts.imagine(
            [Context(tuple(frames[:2]), (actions[0],))], [actions[1:]], seed=settings.seed + 2 * n
        )[0]
        for n, (frames, actions) in enumerate(zip(pieces.frames, pieces.actions, strict=True))
    ]
    last = through_tokenizer(pretrained, pieces.frames[:, 1])
    for ahead in (1, 2):
        views = np.stack([each[ahead - 1] for each in imagined])
        truth = pieces.frames[:, 1 + ahead]
        for name, measure in {"PSNR": psnr, "SSIM": ssim}.items():
            point = next(
                p
                for p in findings.points
                if (p.measure, p.frames_ahead, p.row.baseline_name) == (name, ahead, LAST)
            )
            assert point.row.value == pytest.approx(measure(views, truth).mean(), rel=1e-3)
            assert point.row.baseline == pytest.approx(measure(last, truth).mean())


def test_the_nearest_training_frame_is_the_one_with_the_least_distance(
    run, pretrained, sources, settings, findings
):
    train, held_out = sources
    truth = cut_pieces(run, held_out, settings.rollouts, 2).frames[:, 2]
    frames = [frame for walk in train.walks for frame in walk]
    pictures = np.stack([train.picture(frame).pixels() for frame in frames])
    have, wanted = features(pretrained, pictures), features(pretrained, truth)
    nearest = [int(np.argmin([np.linalg.norm(own - one) for one in have])) for own in wanted]
    decoded = through_tokenizer(pretrained, pictures[nearest])
    point = next(
        p
        for p in findings.points
        if (p.measure, p.frames_ahead, p.row.baseline_name) == ("feature distance", 1, NEAREST)
    )
    expected = feature_distance(features(pretrained, decoded), wanted).mean()
    assert point.row.baseline == pytest.approx(expected, rel=1e-4)


def test_every_horizon_has_each_measure_against_each_contender(findings):
    keys = {(p.measure, p.frames_ahead, p.row.baseline_name) for p in findings.points}
    assert keys == {
        (measure, ahead, contender)
        for measure in ("PSNR", "SSIM", "feature distance", "perceptual distance")
        for ahead in (1, 2)
        for contender in (LAST, SHUFFLED, NEAREST)
    }
    headlines = [row for row in findings.rows if row.headline]
    assert [row.baseline_name for row in headlines] == 3 * [LAST, SHUFFLED]
    assert [row.name.split(" of ")[0] for row in headlines[::2]] == [
        *("feature distance", "perceptual distance", "PSNR")
    ]
    assert all("2 frames ahead" in row.name for row in headlines)
    assert [row.name.endswith("the mean") for row in headlines] == 4 * [False] + 2 * [True]


def test_the_mean_is_measured_beside_samples_whichever_is_asked_for(
    run, sources, settings, findings
):
    def values(found, way):
        return {
            (p.measure, p.frames_ahead, p.row.baseline_name): (p.row.value, p.row.baseline)
            for p in found.points
            if p.source == way
        }

    means = settings.model_copy(update={"next_view_steps": 1})
    found = ImaginedWalks().measure_walks(replace(run, settings=means), *sources)
    assert values(found, "") == values(findings, "the mean")
    assert values(found, "sampled") == values(findings, "")
    assert values(found, "sampled") != values(found, "")
    alone = settings.model_copy(update={"steps": 1})
    found = ImaginedWalks().measure_walks(replace(run, settings=alone), *sources)
    assert {p.source for p in found.points} == {""}


def test_how_far_ahead_samples_beat_the_last_view(run, sources, settings, findings):
    """By the rows of samples, whichever of them and the mean has no suffix."""

    def beaten(found: Findings, suffix: str, *won: bool) -> int | None:
        """What is read of these rows, if samples beat the last view or not and means always."""
        rows = [asdict(row) | {"verdict": "beats"} for row in found.rows]
        for row in rows:
            for ahead, wins in enumerate(won, start=1):
                of = f"imagined view {ahead} frame{'s' * (ahead > 1)} ahead{suffix}"
                if row["name"].endswith(of) and not wins:
                    row["verdict"] = "not separated"
        return frames_beaten(rows)

    means = settings.model_copy(update={"next_view_steps": 1})
    sampled = ImaginedWalks().measure_walks(replace(run, settings=means), *sources)
    for found, suffix in ((findings, ""), (sampled, ", sampled")):
        assert beaten(found, suffix, True, True) == 2
        assert beaten(found, suffix, True, False) == 1
        assert beaten(found, suffix, False, True) == 0
    alone = settings.model_copy(update={"steps": 1})
    found = ImaginedWalks().measure_walks(replace(run, settings=alone), *sources)
    assert beaten(found, "") is None  # these are means
    assert frames_beaten([]) is None


def test_a_model_with_horizons_also_looks_ahead_in_one_step(
    run, pretrained, sources, settings, findings
):
    walks = WalkDocuments(views=4, horizon_frames=(1, 2))
    ours = replace(pretrained, walks=walks)
    found = ImaginedWalks().measure_walks(replace(run, pretrained=ours), *sources, ", walks")
    assert {p.source for p in found.points} == {*("walks", "walks, the mean", "walks, in one step")}
    pieces = cut_pieces(run, sources[1], settings.rollouts, 2)
    contexts = [
        Context(tuple(frames[:2]), (own[0],))
        for frames, own in zip(pieces.frames, pieces.actions, strict=True)
    ]
    seeds = [settings.seed + 2 * n for n in range(len(pieces))]
    direct = DirectViews(ours, settings.imagining)
    views = direct.ends(contexts, [own[1:] for own in pieces.actions], seed=seeds)
    name = "PSNR of the imagined view 2 frames ahead, walks, in one step"
    row = next(row for row in found.rows if (row.name, row.baseline_name) == (name, LAST))
    assert row.value == pytest.approx(psnr(views, pieces.frames[:, 3]).mean(), rel=1e-3)
    stepwise = [row for row in found.rows if "in one step" not in row.name]
    assert [row.value for row in stepwise] == [row.value for row in findings.rows]
    [*_, strip] = found.samples[0].panels
    assert strip.label == "imagined, in one step"


def test_a_horizon_out_of_reach_is_told_with_the_reason(run, findings, sources, settings):
    assert "have at most 10 frames" in findings.skipped["rollout, 16 frames ahead"]
    far = settings.model_copy(update={"rollout_horizons": (9, 16)})
    with pytest.raises(NothingToMeasure, match=r"8 of them behind evaluation\.history_frames = 2"):
        ImaginedWalks().measure_walks(replace(run, settings=far), *sources)


def test_samples_show_the_truth_what_the_tokenizer_leaves_of_it_and_what_is_imagined(
    pretrained, run, sources, settings, findings
):
    [sample, *_] = findings.samples
    walk, *strips = sample.panels
    assert isinstance(walk, Animation)
    assert walk.parts == ("truth", "truth, decoded", "imagined", "imagined, the mean")
    assert [panel.label for panel in strips] == [
        *("truth; the first 2 given", "truth, decoded by the tokenizer"),
        *("imagined", "imagined, the mean"),
    ]
    pieces = cut_pieces(run, sources[1], settings.rollouts, 2)
    frames, decoded = pieces.frames[0], through_tokenizer(pretrained, pieces.frames[0])
    assert len(walk.moments) == 4
    for moment, true, through in zip(walk.moments, frames, decoded, strict=True):
        assert np.array_equal(moment[:, :32], true)
        assert np.array_equal(moment[:, 34:66], through)
    assert np.array_equal(walk.moments[1][:, -32:], frames[1])
    assert np.array_equal(walk.moments[3][:, -32:], strips[-1].pixels[:, -32:])
    assert (strips[-1].pixels[:, :66] == 255).all()
