import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material
from chiasm.evaluation.pictures import open_reference_encoder, psnr, ssim
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import feature_distance, features, through_tokenizer
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.storage import save_tokenizer
from chiasm.vision.kinds import RaeSettings


def pictures(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_psnr_of_a_known_error():
    truth = np.full((2, 8, 8, 3), 100, np.uint8)
    off = truth.copy()
    off[1] += 51  # a fifth of the range
    assert psnr(off, truth) == pytest.approx([100, -20 * np.log10(0.2)])


def test_feature_distance_is_a_root_mean_square():
    assert feature_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2))) == pytest.approx([12.5**0.5])


def test_an_exact_tokenizer_gives_the_pictures_back(pretrained):
    original = pictures(0)
    assert np.array_equal(through_tokenizer(pretrained, original), original)


def test_features_are_standardized_latents_in_the_order_of_the_pictures(pretrained):
    every = features(pretrained, pictures(0, 5))
    shape, channels = pretrained.vision_tokenizer.image_shape, pretrained.vision_tokenizer.channels
    assert every.shape == (5, shape.num_tokens * channels)
    assert features(pretrained, pictures(0, 5)[2:3])[0] == pytest.approx(every[2], abs=1e-5)


def test_a_reference_encoder_reads_in_its_own_latents_and_at_its_own_size(pretrained):
    assert open_reference_encoder("own") is None
    reference_encoder = open_reference_encoder("embedded-world")
    read = features(pretrained, pictures(0), reference_encoder)
    assert read.shape == (3, 16 * 32)  # 4 x 4 tokens of 32 channels, of 64 x 64 pixels
    assert not np.allclose(read[0], read[1])


def test_a_reference_encoder_that_is_not_there_is_told_of_before_anything_is_measured(pretrained):
    settings = EvaluationSettings(reference_encoder="nowhere")
    with pytest.raises(
        UserError, match=r"evaluation.reference_encoder = 'nowhere' is neither a folder"
    ):
        evaluate(pretrained, Material({}, {}), settings)


def test_a_trained_tokenizers_folder_is_a_reference_encoder(tmp_path):
    shipped = open_tokenizer(RaeSettings())
    save_tokenizer(shipped, tmp_path / "reference_encoder", {})
    reference_encoder = open_reference_encoder(str(tmp_path / "reference_encoder"))
    assert reference_encoder is not None
    assert reference_encoder.fingerprint == shipped.fingerprint


def reference_ssim(x: np.ndarray, y: np.ndarray, size: int = 11) -> float:
    """Equation 13 of Wang et al. 2004 at each place, spelled out."""
    away = np.arange(size) - size // 2
    window = np.exp(-(away[:, None] ** 2 + away[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for colour in range(3):
        for top in range(x.shape[0] - size + 1):
            for left in range(x.shape[1] - size + 1):
                a, b = (each[top : top + size, left : left + size, colour] / 255 for each in (x, y))
                m_a, m_b = (window * a).sum(), (window * b).sum()
                v_a, v_b = (window * (a - m_a) ** 2).sum(), (window * (b - m_b) ** 2).sum()
                both = (window * (a - m_a) * (b - m_b)).sum()
                found.append(
                    (2 * m_a * m_b + 1e-4)
                    * (2 * both + 9e-4)
                    / ((m_a**2 + m_b**2 + 1e-4) * (v_a + v_b + 9e-4))
                )
    return float(np.mean(found))


def test_ssim_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (2, 15, 17, 3), dtype=np.uint8)
    near = np.clip(truth + rng.integers(-40, 40, truth.shape), 0, 255).astype(np.uint8)
    expected = [reference_ssim(a, b) for a, b in zip(near, truth, strict=True)]
    np.testing.assert_allclose(ssim(near, truth), expected, rtol=1e-9)
    np.testing.assert_allclose(ssim(truth, truth), 1)
    small = truth[:, :8, :9]
    expected = [reference_ssim(a[:8, :9], b, 7) for a, b in zip(near, small, strict=True)]
    np.testing.assert_allclose(ssim(near[:, :8, :9], small), expected, rtol=1e-9)
