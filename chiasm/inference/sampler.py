"""The interleaved sampler: goes on with documents, text and images.

:mod:`chiasm.inference.batch` has the state machine; this checks what is asked and splits it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.inference.batch import IMAGE_FRAME, Batch
from chiasm.inference.passage import prompt_ids
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Event, Listener, Request, SamplingSettings


class Sampler:
    """Goes on with documents: text, and images where the model or the request opens them."""

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[Request],
        settings: SamplingSettings | None = None,
        listener: Listener | None = None,
    ) -> list[list[Text | Image]]:
        """What follows each request's spans.

        Args:
            requests: any number; ``settings.rows_at_once`` of them run together.
            settings: how to write and draw; None is the defaults.
            listener: hears every piece of text, image and ending as it happens.

        Returns:
            for each request its new spans; pictures are uint8 [H, W, 3].

        Raises:
            UserError: a prompt is longer than the model's context (checked for all requests before
                anything runs), or a picture cannot be decoded.
        """
        settings = settings or SamplingSettings()
        prompts = [
            self._prompt(
                "the request" if len(requests) == 1 else f"request {n}",
                request,
                settings.max_images,
            )
            for n, request in enumerate(requests)
        ]
        results: list[list[Text | Image]] = []
        for begin in range(0, len(requests), settings.rows_at_once):
            chunk = slice(begin, begin + settings.rows_at_once)
            batch = Batch(self.pretrained, settings, listener or _unheard)
            results += batch.run(requests[chunk], prompts[chunk], first_number=begin)
        return results

    def _prompt(self, name: str, request: Request, max_images: int) -> np.ndarray:
        """Token numbers of a prompt that fits, with the images that are drawn in any case."""
        images = request.num_given_images
        if request.script and (request.opens_image or not _ends_in_image(request)):
            raise UserError(
                f"{name} has a script, whose texts open images: its spans must end in "
                "an image, and opens_image be False"
            )
        if images > max_images:
            raise UserError(
                f"{name} is to draw {images} images but max_images = {max_images}; "
                f"give {images} or more"
            )
        pretrained = self.pretrained
        shape = pretrained.vision_tokenizer.image_shape
        ids = prompt_ids(
            request.spans, pretrained.text_tokenizer, pretrained.vision_tokenizer.shapes
        )
        given = sum(len(pretrained.text_tokenizer.encode_array(text)) for text in request.script)
        needed = len(ids) + given + images * (shape.num_tokens + IMAGE_FRAME)
        if needed > pretrained.context_positions:
            named = "the image" if images == 1 else f"the {images} images"
            drawn = f" and {named} to draw, {needed} together," if images else ""
            raise UserError(
                f"the prompt of {name} takes {len(ids)} positions{drawn} but the model's "
                f"context holds {pretrained.context_positions}; shorten the text or give fewer "
                f"images ({shape.num_tokens + IMAGE_FRAME} positions each)"
            )
        return ids


def _ends_in_image(request: Request) -> bool:
    return bool(request.spans) and isinstance(request.spans[-1], Image)


def _unheard(event: Event) -> None:
    """Nobody listens."""
