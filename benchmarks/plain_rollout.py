"""Rollouts as a sampler without a cache imagines them: the slow way of benchmarks/rollout.py.

One candidate at a time, and each step of the solver reads the whole document again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from chiasm.batch.latents import ImageLatents
from torch import Tensor

from chiasm.flow import velocity
from chiasm.inference.choice import image_noise
from chiasm.inference.history import lay_out
from chiasm.inference.passage import passage, prompt_ids, prompt_latents, prompt_targets
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
        text, vision = self._pretrained.text_tokenizer, self._pretrained.vision_tokenizer
        decoder, device = self._pretrained.decoder, self._pretrained.device
        num_tokens = vision.image_shape.num_tokens
        ids = prompt_ids(context.spans, text, vision.shapes).tolist()
        targets = prompt_targets(context.spans)
        latents = prompt_latents(context.spans, vision, device)
        times = time_grid(self._sampling.steps, self._pretrained.shift)
        views = []
        for number, action in enumerate(script):
            ids += [*text.encode(action), text.boi_id, *[text.image_id] * num_tokens]
            targets.append(True)
            noise_PC = image_noise(seed, number, num_tokens, decoder.latent_channels).to(device)
            predict = self._velocity(ids, targets, latents)
            z_PC = denoise(predict, noise_PC, times, self._sampling.solver)
            views.append((vision.decode(z_PC[None])[0] * 255).round().to(torch.uint8))
            latents = latents.at(torch.cat([latents.z_LC, z_PC]))
            ids.append(text.eoi_id)
        return torch.stack(views).permute(0, 2, 3, 1).cpu().numpy()

    def _velocity(self, ids: list[int], targets: list[bool], before: ImageLatents) -> Velocity:
        """Of a document's last image, by a pass over the whole document."""
        pretrained = self._pretrained
        decoder, vision = pretrained.decoder, pretrained.vision_tokenizer
        passed = passage(ids, pretrained.text_tokenizer.image_id, vision.shapes, targets)
        num_tokens = vision.image_shape.num_tokens
        before_LC = before.z_LC
        all_LC = torch.cat([before_LC, before_LC.new_zeros(num_tokens, decoder.latent_channels)])
        time_L = all_LC.new_ones(len(all_LC))
        reading = lay_out([passed], before.at(all_LC), time_L, [0], cache=None)

        def predict(z_PC: Tensor, time: float) -> Tensor:
            time_P = z_PC.new_full((len(z_PC),), time)
            time_L = torch.cat([before_LC.new_ones(len(before_LC)), time_P])
            inputs = replace(reading.inputs, z_LC=torch.cat([before_LC, z_PC]), time_L=time_L)
            x_TD = decoder(inputs, reading.mask)[0]
            output_PC = decoder.latent_output(x_TD[-num_tokens:]).float()
            return velocity(output_PC, z_PC, time_P, pretrained.objective.prediction)

        return predict
