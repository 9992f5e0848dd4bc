"""Rollouts as a sampler without a cache imagines them: the slow way of benchmarks/rollout.py.

One candidate at a time, and each step of the solver reads the whole document again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.streams import IMAGE
from chiasm.documents import Image
from chiasm.flow import velocity
from chiasm.inference.choice import item_noise
from chiasm.inference.history import lay_out
from chiasm.inference.passage import Passage, PlacedItem, prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.solvers import Velocity, denoise, time_grid
from chiasm.worldmodel.rollout import Context


class PlainRollouts:
    """Imagines one candidate.

    Args:
        pretrained: the model.
        sampling: how a view is drawn, without guidance.
        context_views: views that a document begins with at most.
        document_views: views of a document at most.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        sampling: SamplingSettings,
        *,
        context_views: int,
        document_views: int,
    ) -> None:
        self._pretrained, self._sampling = pretrained, sampling
        self._context_views, self._document_views = context_views, document_views

    def imagine(self, context: Context, script: Sequence[str]) -> np.ndarray:
        """The views behind the actions, [S, H, W, 3], in documents as long as those of rollouts."""
        views: list[np.ndarray] = []
        document = 0
        while len(views) < len(script):
            chunk = script[len(views) :][: self._document_views - len(context.views)]
            drawn = list(self._document(context, chunk, seed=document))
            views += drawn
            context = context.after(chunk, drawn, self._context_views)
            document += 1
        return np.stack(views)

    @torch.inference_mode()
    def _document(self, context: Context, script: Sequence[str], seed: int) -> np.ndarray:
        text, tokenizers = self._pretrained.text_tokenizer, self._pretrained.tokenizers
        device, shape, marks = self._pretrained.device, tokenizers.streams[IMAGE], text.marks[IMAGE]
        passage = prompt_passage(context.spans, text, tokenizers)
        z_LC = tokenizers.encode_spans(
            [span for span in context.spans if isinstance(span, Image)], device
        )[IMAGE]
        times = time_grid(self._sampling.steps, self._pretrained.shift(shape))
        views = []
        for number, action in enumerate(script):
            ids = [*passage.ids, *text.encode(action), marks.begin]
            items = (*passage.items, PlacedItem(IMAGE, len(ids), shape.grid))
            passage = Passage([*ids, *[marks.fill] * shape.num_tokens], items)
            noise_PC = item_noise(seed, number, shape).to(device)
            predict = self._velocity(passage, z_LC, shape.num_tokens)
            z_PC = denoise(predict, noise_PC, times, self._sampling.solver)
            views += [view.pixels() for view in tokenizers.decode(shape, z_PC[None])]
            z_LC = torch.cat([z_LC, z_PC])
            passage = Passage([*passage.ids, marks.end], passage.items)
        return np.stack(views)

    def _velocity(self, passage: Passage, before_LC: Tensor, num_tokens: int) -> Velocity:
        """Of a document's last image, by a pass over the whole document."""
        decoder = self._pretrained.decoder
        prediction = self._pretrained.flow.of(IMAGE).prediction
        all_LC = torch.cat([before_LC, before_LC.new_zeros(num_tokens, before_LC.shape[1])])
        reading = lay_out(decoder, [passage], {IMAGE: all_LC}, 1.0, [0], cache=None)
        own = reading.inputs.latents[IMAGE]

        def predict(z_PC: Tensor, time: float) -> Tensor:
            time_P = z_PC.new_full((len(z_PC),), time)
            time_L = torch.cat([before_LC.new_ones(len(before_LC)), time_P])
            at_time = own._replace(z_LC=torch.cat([before_LC, z_PC]), time_L=time_L)
            inputs = replace(reading.inputs, latents={IMAGE: at_time})
            x_TD = decoder(inputs, reading.mask)[0]
            output_PC = decoder.latent_output(IMAGE, x_TD[-num_tokens:]).float()
            return velocity(output_PC, z_PC, time_P, prediction)

        return predict
