import copy

import numpy as np
import pytest
import torch

from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.learning.draw import draw_step
from chiasm.vision.learning.features import deviation_between_pictures
from chiasm.vision.learning.fit import Fit, Losses
from chiasm.vision.learning.self_supervised import SelfSupervisedStage, grey_out, hidden_cells
from chiasm.vision.learning.settings import SelfSupervisedSettings
from chiasm.vision.settings import EncoderSettings
from chiasm.vision.tokenizer import seeded

SHAPE = EncoderSettings(image_pixels=32, channels=16, widths=(8, 16, 32))
FIT = {"pictures_per_step": 32, "warmup_steps": 0, "steps": 40}


def stage_of(pictures, **given) -> SelfSupervisedStage:
    settings = SelfSupervisedSettings.model_validate({"fit": FIT, **given})
    torch.manual_seed(0)
    return SelfSupervisedStage(seeded(0, RaeEncoder, SHAPE), settings, pictures)


@torch.no_grad()
def losses_of(stage: SelfSupervisedStage, step: int) -> Losses:
    return stage.losses(draw_step(0, "encoder", step, len(stage.pictures), stage.settings.fit))


@pytest.mark.parametrize("side", [1, 2, 4, 14])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.95])
def test_some_cells_are_hidden_and_some_are_not(side, share) -> None:
    settings = SelfSupervisedSettings(hidden_share=share)
    hidden = hidden_cells(50, side, settings, np.random.default_rng(0))
    assert hidden.shape == (50, side**2)
    assert not hidden.all(dim=1).any()
    if side > 1:
        assert hidden.any(dim=1).all()
    if side == 14 and share == 0.2:  # three rectangles of a fifth, partly over each other
        assert 0.35 < float(hidden.float().mean()) < 0.6


def test_hidden_cells_are_grey_and_others_stay() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    hidden = torch.tensor([[False, True, False, False], [False, False, True, True]])
    shown = grey_out(images, hidden, side=2)
    assert (shown[0, :, :16, 16:] == 0.5).all()
    assert (shown[1, :, 16:, :] == 0.5).all()
    assert torch.equal(shown[0, :, 16:], images[0, :, 16:])
    assert torch.equal(shown[1, :, :16], images[1, :, :16])


def test_the_teacher_is_the_running_mean(train_scenes) -> None:
    stage = stage_of(train_scenes, momentum=0.6)
    before = copy.deepcopy(stage.teacher.patches.weight)
    with torch.no_grad():
        stage.encoder.patches.weight.add_(1)
    stage.after_step(20)  # half of 40: the share that is kept is halfway from 0.6 to 1
    expected = 0.8 * before + 0.2 * (before + 1)
    torch.testing.assert_close(stage.teacher.patches.weight, expected)
    assert not any(p.requires_grad for p in stage.teacher.parameters())


@pytest.mark.slow
def test_it_learns_without_captions(tmp_path, train_scenes) -> None:
    stage = stage_of(train_scenes)
    first = losses_of(stage, step=0).terms
    fit = Fit("encoder", stage, len(train_scenes), stage.settings.fit, 0, tmp_path, "it")
    fit.run(tmp_path)
    last = losses_of(stage, step=39)
    assert last.terms["prediction"] < 0.7 * first["prediction"]
    assert last.terms["pixels"] < 0.5 * first["pixels"]
    assert last.measures["deviation"] > 0.5
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["deviation"] > 0.5


def test_collapse_is_noticed(tmp_path, train_scenes) -> None:
    stage = stage_of(train_scenes)
    with torch.no_grad():  # features of the place alone: they differ between cells, not pictures
        stage.encoder.pyramid[-1].weight.zero_()
        stage.encoder.patches.weight.zero_()
        stage.encoder.place_PD.mul_(50)
    features = stage.encoder(train_scenes.batch(np.arange(8)))
    assert features.std(dim=1).mean() > 0.1
    assert deviation_between_pictures(features).max() < 0.01
    fit = Fit("encoder", stage, len(train_scenes), stage.settings.fit, 0, tmp_path, "it")
    with pytest.raises(UserError, match=r"collapsed at step 0.*deviation_weight"):
        fit.run(tmp_path)
