from chiasm.evaluation import Material, evaluate


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
    assert shown.lines == (("", "action: dx=+0.50 dy=+0.00 dyaw=+0"),)


def test_a_second_source_has_rows_of_its_own(pretrained, recorded, material, settings):
    both = Material(
        {**recorded.train, **material.train}, {**recorded.held_out, **material.held_out}
    )
    assert list(both.action_videos()) == ["action_video", "walks"]
    names = {row.name for row in evaluate(pretrained, both, settings).rows}
    assert {"PSNR of the imagined next view", "PSNR of the imagined next view, walks"} <= names


def test_walks_too_short_for_the_history_are_skipped_with_the_reason(
    pretrained, recorded, settings
):
    long = settings.model_copy(update={"history_frames": 8})
    evaluation = evaluate(pretrained, recorded, long)
    assert "history_frames = 8 is as long as every held-out walk" in evaluation.skipped["next view"]
    assert "0 of them behind evaluation.history_frames = 8" in evaluation.skipped["rollout"]
    assert any(row.section == "flow loss" for row in evaluation.rows)
