"""Tokenizers of published weights: opened, kept as a reference, and opened again."""

from __future__ import annotations

from typing import Any

from chiasm.errors import UserError
from chiasm.vision.published.rae import plan_rae
from chiasm.vision.published.tokenizer import Published, PublishedTokenizer
from chiasm.vision.published.vae import open_vae
from chiasm.vision.statistics import LatentStatistics


def open_published(published: Published) -> PublishedTokenizer:
    """A tokenizer of published weights, with neutral statistics.

    Raises:
        UserError: what is published is not there, is damaged, or its parts do not fit.
    """
    return open_vae(published) if published.kind == "vae" else plan_rae(published).open()


def describe_published(tokenizer: PublishedTokenizer) -> dict[str, Any]:
    """What a folder keeps: where the weights are, and their hashes."""
    return {
        "published": tokenizer.published.model_dump(),
        "encoder_sha256": tokenizer.weights_sha256,
        "decoder_sha256": tokenizer.decoder_sha256,
    }


def reopen_published(
    description: dict[str, Any], statistics: LatentStatistics, where: str
) -> PublishedTokenizer:
    """The tokenizer of :func:`describe_published`, with its statistics.

    Raises:
        KeyError, ValueError: it is no such description.
        UserError: the weights are gone or are others than they were; ``where`` refers to them.
    """
    published = Published(**description["published"])
    hashes = {part: description[f"{part}_sha256"] for part in ("encoder", "decoder")}
    try:
        tokenizer = open_published(published)
    except UserError as error:
        raise UserError(
            f"{where} refers to published weights as they were when it was made: {error}"
        ) from error
    found = {"encoder": tokenizer.weights_sha256, "decoder": tokenizer.decoder_sha256}
    for part, wanted in hashes.items():
        if found[part] != wanted:
            raise UserError(
                f"{where} refers to {published.path}, but the weights of its {part} have changed: "
                f"their hash is {found[part][:12] or 'none'}, not {wanted[:12] or 'none'}; bring "
                "back those that the tokenizer was made with"
            )
    tokenizer.adopt(statistics, where)
    return tokenizer
