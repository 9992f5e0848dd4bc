"""Quality of a tokenizer on held-out images: the figures stored beside its weights.

Shape suffixes: B images, H and W height and width in pixels, P latent tokens, C channels, N
examples of a probe, F features, Q classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.learning.frechet import FeatureNetwork, frechet_distance
from chiasm.vision.learning.pictures import Box, Pictures
from chiasm.vision.learning.reconstruction import PICTURES_AT_ONCE

CLEARLY_VISIBLE = 0.02
"""Share of the image above which an object counts as clearly visible."""

MOST_PROBE_PICTURES = 8000


def held_out_figures(
    tokenizer: Tokenizer,
    train: Pictures,
    held_out: Pictures,
    network: FeatureNetwork | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Returns reconstruction quality and, with ground truth, probe accuracy on held-out images.

    ``rfid`` is the Fréchet distance between images and reconstructions in a network's features.
    ``probe/<fact>`` is the accuracy of a linear probe that was fitted on training images' latents;
    ``majority/<fact>`` is that of the most frequent training answer. ``drawn_probe/<fact>`` is the
    same probe's accuracy on the latents of the *reconstructed* images: what a drawing still shows.
    """
    latents_BPC, drawn_BPC, quality = _reconstructed(tokenizer, held_out, network, device)
    chosen = train.spread(MOST_PROBE_PICTURES)
    batches = chosen.batches(PICTURES_AT_ONCE, device)
    train_BF = torch.cat([tokenizer.encode(images).cpu() for images in batches]).flatten(1)
    figures = {
        "held_out_pictures": float(len(held_out)),
        **quality,
        "feature_distance": float(functional.mse_loss(drawn_BPC, latents_BPC)),
    }
    for name, (train_answers, answers) in _questions(chosen, held_out).items():
        shown = {"probe": latents_BPC.flatten(1), "drawn_probe": drawn_BPC.flatten(1)}
        figures |= _accuracies(name, train_BF, train_answers, shown, answers)
    return {name: round(value, 4) for name, value in figures.items()}


Answers = list[str | None]


def _questions(train: Pictures, held_out: Pictures) -> dict[str, list[Answers]]:
    """Returns the attributes of both data sets, with answers of training and held-out images."""
    both = (train, held_out)
    asked: dict[str, list[Answers]] = {}
    for fact, values in train.fact_values().items():
        if len(values) > 1 and held_out.facts is not None:
            asked[fact] = [[of_one.get(fact) for of_one in each.facts or ()] for each in both]
    if train.boxes and held_out.boxes:
        asked["clear_object"] = [[_clear_object(b) for b in each.boxes or ()] for each in both]
    return asked


def _clear_object(boxes: Sequence[Box]) -> str | None:
    """Returns the name of the largest object of an image, if it is clearly visible."""
    sized = [((box.bottom - box.top) * (box.right - box.left), box.name) for box in boxes]
    area, name = max(sized, default=(0.0, ""))
    return name if area >= CLEARLY_VISIBLE else None


def _accuracies(
    name: str,
    train_BF: Tensor,
    train_answers: Sequence[str | None],
    shown: Mapping[str, Tensor],
    answers: Sequence[str | None],
) -> Mapping[str, float]:
    known = [number for number, answer in enumerate(train_answers) if answer is not None]
    asked = [number for number, answer in enumerate(answers) if answer is not None]
    if len(known) < 2 or not asked:
        return {}
    truth = [answers[number] for number in asked]
    learned = [answer for answer in train_answers if answer is not None]
    probe = linear_probe(train_BF[known], learned)
    majority = Counter(learned).most_common(1)[0][0]
    found = {f"{what}/{name}": _share(probe(x_BF[asked]), truth) for what, x_BF in shown.items()}
    return {**found, f"majority/{name}": _share([majority] * len(truth), truth)}


def linear_probe(
    features_NF: Tensor,
    answers: Sequence[str],
    *,
    penalty: float = 1e-3,
    least_deviation: float = 1e-6,
) -> Callable[[Tensor], list[str]]:
    """Returns a classifier of frozen features: multinomial logistic regression, standardized.

    Minimises cross-entropy + penalty / 2 * |W|^2 by L-BFGS from zero: deterministic. The classifier
    returns the likeliest answer for each row of other features. A feature that deviates by less
    than ``least_deviation`` is not scaled up to 1, where one that hardly changes would drown all.
    """
    values = sorted(set(answers))
    class_N = torch.tensor([values.index(answer) for answer in answers])
    mean_F, scale_F = features_NF.mean(dim=0), features_NF.std(dim=0).clamp(min=least_deviation)
    scaled_NF = (features_NF - mean_F) / scale_F
    weight_FQ = torch.zeros(features_NF.shape[1], len(values), requires_grad=True)
    bias_Q = torch.zeros(len(values), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_FQ, bias_Q], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        entropy = functional.cross_entropy(scaled_NF @ weight_FQ + bias_Q, class_N)
        total = entropy + penalty / 2 * weight_FQ.square().sum()
        total.backward()
        return total

    @torch.no_grad()
    def likeliest(features_NF: Tensor) -> list[str]:
        logits_NQ = (features_NF - mean_F) / scale_F @ weight_FQ + bias_Q
        return [values[k] for k in logits_NQ.argmax(dim=1)]

    with torch.enable_grad():
        optimizer.step(loss)
    return likeliest


def _share(answers: Sequence[str], truth: Sequence[str | None]) -> float:
    return sum(a == t for a, t in zip(answers, truth, strict=True)) / len(truth)


def _reconstructed(
    tokenizer: Tokenizer,
    pictures: Pictures,
    network: FeatureNetwork | None,
    device: torch.device | str,
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Returns latents, latents of the reconstructed images, and the likeness of the two."""
    latents, drawn, decibels, similarity = [], [], [], []
    features: tuple[list[Tensor], list[Tensor]] = ([], [])
    for images_B3HW in pictures.batches(PICTURES_AT_ONCE, device):
        latents_BPC = tokenizer.encode(images_B3HW)
        decoded_B3HW = tokenizer.decode(latents_BPC)
        latents.append(latents_BPC.cpu())
        drawn.append(tokenizer.encode(decoded_B3HW).cpu())
        decibels.append(psnr(decoded_B3HW, images_B3HW).cpu())
        similarity.append(ssim(decoded_B3HW, images_B3HW).cpu())
        if network is not None:
            for seen, shown in zip(features, (images_B3HW, decoded_B3HW), strict=True):
                seen.append(network(shown))
    quality = {
        "psnr_decibels": float(torch.cat(decibels).mean()),
        "ssim": float(torch.cat(similarity).mean()),
    }
    if network is not None:
        quality["rfid"] = frechet_distance(*(torch.cat(seen) for seen in features))
    return torch.cat(latents), torch.cat(drawn), quality


def psnr(drawn_B3HW: Tensor, true_B3HW: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio of each image in decibels, pixels in [0, 1]: [B]."""
    error_B = (drawn_B3HW - true_B3HW).square().mean(dim=(1, 2, 3)).clamp(min=1e-10)
    return -10 * error_B.log10()


def ssim(drawn_B3HW: Tensor, true_B3HW: Tensor) -> Tensor:
    """Returns the structural similarity of each image: [B].

    Wang et al. 2004 with its 11 x 11 Gaussian window (deviation 1.5) and constants, over the
    positions where the window lies inside the image, averaged over colours.
    """
    offsets = torch.arange(11, dtype=drawn_B3HW.dtype, device=drawn_B3HW.device) - 5
    bell = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = torch.outer(bell, bell) / bell.sum() ** 2
    kernel = window.expand(3, 1, 11, 11)

    def blurred(x_B3HW: Tensor) -> Tensor:
        return functional.conv2d(x_B3HW, kernel, groups=3)

    mean_x, mean_y = blurred(drawn_B3HW), blurred(true_B3HW)
    variance_x = blurred(drawn_B3HW**2) - mean_x**2
    variance_y = blurred(true_B3HW**2) - mean_y**2
    covariance = blurred(drawn_B3HW * true_B3HW) - mean_x * mean_y
    small, large = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + small) / (mean_x**2 + mean_y**2 + small)
    structure = (2 * covariance + large) / (variance_x + variance_y + large)
    return (luminance * structure).mean(dim=(1, 2, 3))
