import math

import numpy as np
import torch

from chiasm.vision.learning.figures import linear_probe, psnr, ssim


def test_psnr_against_the_formula() -> None:
    true = torch.zeros(2, 3, 16, 16)
    drawn = torch.stack([true[0] + 0.1, true[1] + 0.5])
    torch.testing.assert_close(psnr(drawn, true), torch.tensor([20.0, -20 * math.log10(0.5)]))


def test_ssim_is_one_for_equals_and_falls_with_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(3, 3, 32, 32, generator=generator)
    noise = torch.rand(3, 3, 32, 32, generator=generator)
    torch.testing.assert_close(ssim(true, true), torch.ones(3))
    little, much = ssim(true + 0.1 * (noise - 0.5), true), ssim(noise, true)
    assert bool((little > 0.9).all())
    assert bool((much < 0.2).all())


def test_probe_reads_what_is_linear_and_not_what_is_absent() -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(600, 10))).float()
    answers = ["yes" if row[3] - row[7] > 0 else "no" for row in features]
    probe = linear_probe(features[:400], answers[:400])
    hits = [a == b for a, b in zip(probe(features[400:]), answers[400:], strict=True)]
    assert np.mean(hits) > 0.95
    shuffled = [answers[int(k)] for k in rng.permutation(600)]
    blind = linear_probe(features[:400], shuffled[:400])
    guesses = [a == b for a, b in zip(blind(features[400:]), shuffled[400:], strict=True)]
    assert 0.35 < np.mean(guesses) < 0.65
