import numpy as np
import torch

from chiasm.vision.learning.contrastive import sigmoid_contrast
from chiasm.vision.learning.draw import draw_step
from chiasm.vision.learning.features import add_noise, redundancy
from chiasm.vision.learning.pictures import Box, covered_cells
from chiasm.vision.learning.settings import FitSettings
from chiasm.vision.learning.words import NO_WORD, RARE_WORD, Vocabulary


def test_sigmoid_contrast_against_the_formula() -> None:
    rng = np.random.default_rng(0)
    pictures, captions = rng.normal(size=(2, 4, 3))
    same = np.eye(4, dtype=bool)
    same[0, 2] = same[2, 0] = True
    total = 0.0
    for i in range(4):
        for j in range(4):
            logit = np.exp(1.5) * pictures[i] @ captions[j] - 2.0
            total += np.log1p(np.exp(-logit if same[i, j] else logit))
    found = sigmoid_contrast(
        torch.from_numpy(pictures),
        torch.from_numpy(captions),
        torch.from_numpy(same),
        torch.tensor(1.5),
        torch.tensor(-2.0),
    )
    np.testing.assert_allclose(float(found), total / 4, rtol=1e-6)


def test_redundancy_is_nothing_for_independent_channels_and_counts_copies() -> None:
    independent = torch.randn(100, 100, 4, generator=torch.Generator().manual_seed(0))
    assert redundancy(independent) < 0.01
    copies = independent[..., :1] * torch.tensor([1.0, -2.0, 3.0, 4.0]) + 5
    torch.testing.assert_close(redundancy(copies), torch.tensor(3.0), atol=1e-2, rtol=0)


def test_noise_has_one_deviation_per_picture_and_follows_its_generator() -> None:
    features = torch.zeros(500, 16, 64)
    fit = FitSettings(pictures_per_step=500)
    noised, again = (add_noise(features, 0.2, draw_step(0, "it", 7, 500, fit)) for _ in range(2))
    assert torch.equal(noised, again)
    deviations = noised.flatten(1).std(dim=1)
    assert 0.9 < float(deviations.square().mean().sqrt()) / 0.2 < 1.1
    assert deviations.min() < 0.02 < 0.3 < deviations.max()


def test_covered_cells() -> None:
    boxes = [Box("tree", 0.0, 0.0, 0.5, 0.25), Box("skull", 0.8, 0.8, 0.9, 0.9)]
    covered = covered_cells(boxes, ("skull", "tree"), side=2).reshape(2, 2, 2)
    # The tree fills half of the cell at the top left and all of itself lies there.
    assert covered[..., 1].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    np.testing.assert_allclose(covered[..., 0], [[0, 0], [0, 1]], atol=1e-6)
    wide = covered_cells([Box("tree", 0.0, 0.0, 0.5, 1.0)], ("tree",), side=2)
    assert wide[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_vocabulary_numbers_the_frequent_words() -> None:
    vocabulary = Vocabulary(["A red wall.", "a red floor", "a cat"], max_words=2)
    assert vocabulary.words == ("a", "red")
    words = vocabulary.encode("A wall, red", 5)
    assert words.tolist() == [2, RARE_WORD, 3, NO_WORD, NO_WORD]
    assert vocabulary.present(torch.from_numpy(words[None])).tolist() == [[1.0, 1.0]]
