"""One batch of requests: a state machine for each request, run in groups.

    WRITING   choose the next token; text is read into the cache one token at a time
              <boi> → DRAWING      <eod>, a stop string, a limit → ENDED
    DRAWING   read <boi>; solve the flow from noise to data with guidance; read the finished image
              at t = 1, and <eoi> → WRITING, or DRAWING behind a text of the request's script

All requests that write take one step together; when none writes, all that wait with an open image
draw together. A request's result is a function of the request, its seed and the settings: all
draws are keyed by the seed and by the request's own counters, whatever runs beside it. (Batching
may change the rounding of a picture's last bits, as any change of shape does.)

Shape suffixes: B requests of a group, V vocabulary, N images, P latent tokens of one image, C
latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.latents import ImageLatents
from chiasm.documents import Image, Text
from chiasm.inference.canvas import Canvas
from chiasm.inference.choice import choose_tokens, image_noise, token_draw
from chiasm.inference.history import History
from chiasm.inference.passage import (
    Passage,
    passage,
    prompt_latents,
    prompt_targets,
)
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.progress import Progress, State
from chiasm.inference.request import (
    Ended,
    Ending,
    ImageDrawn,
    Listener,
    Request,
    SamplingSettings,
    TextWritten,
)
from chiasm.inference.solvers import denoise, time_grid
from chiasm.inference.writer import Writer

IMAGE_FRAME = 2
"""``<boi>`` and ``<eoi>``."""


class Batch:
    """One batch of requests from their prompts to their ends."""

    def __init__(
        self, pretrained: Pretrained, settings: SamplingSettings, listener: Listener
    ) -> None:
        self._settings, self._tell = settings, listener
        self._decoder, self._flow = pretrained.decoder, pretrained.flow
        self._tokenizer, self._vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
        self._context = pretrained.context_positions
        self._times = time_grid(settings.steps, pretrained.shift)
        image_id, boi, eoi = (getattr(self._tokenizer, f"{n}_id") for n in ("image", "boi", "eoi"))
        image = [image_id] * self._vision.image_shape.num_tokens
        self._image = self._passage(image)
        self._opened_image = self._passage([boi, *image])
        self._closed_image = self._passage([*image, eoi])
        self._forbidden_V = self._never_chosen()

    def run(
        self, requests: Sequence[Request], prompts: Sequence[np.ndarray], first_number: int
    ) -> list[list[Text | Image]]:
        """The new spans of each request."""
        settings, num_positions = self._settings, len(self._image) + IMAGE_FRAME
        most_new = settings.max_tokens + settings.max_images * num_positions
        given = [[len(self._tokenizer.encode(text)) for text in r.script] for r in requests]
        most = max(map(len, prompts)) + most_new + max(map(sum, given))
        # Rows of one pass are padded to its longest text, past the end of what a row holds.
        padding = max((max(lengths, default=0) for lengths in given), default=0)
        capacity = min(self._context, most) + padding
        self._history = History(self._decoder, len(requests), capacity)
        last_BD = self._read_prompts(requests, prompts)
        everyone = [
            Progress(
                number=first_number + member,
                member=member,
                request=request,
                writer=self._new_writer(),
                state=State.DRAWING if request.num_given_images else State.WRITING,
                last_D=last_BD[member],
            )
            for member, request in enumerate(requests)
        ]
        self._begin_scripts([progress for progress in everyone if progress.request.script])
        for progress in everyone:
            self._end_if_spent(progress)
        while any(progress.state is not State.ENDED for progress in everyone):
            if writing := self._in_state(everyone, State.WRITING):
                self._write(writing)
            else:
                self._draw(self._in_state(everyone, State.DRAWING))
        return [progress.spans for progress in everyone]

    def _read_prompts(self, requests: Sequence[Request], prompts: Sequence[np.ndarray]) -> Tensor:
        """The hidden vector [B, D] at each prompt's last position."""
        vision, device = self._vision, self._decoder.device
        members_of: dict[int, list[int]] = {}
        for member, request in enumerate(requests):
            members_of.setdefault(id(request.spans), []).append(member)
        group = self._history.gather([members[0] for members in members_of.values()])
        spans = [requests[member].spans for member in group]
        passages = [
            self._passage(prompts[member], prompt_targets(requests[member].spans))
            for member in group
        ]
        latents = ImageLatents.join([prompt_latents(each, vision, device) for each in spans])
        read_GD = self._history.read(group, passages, latents)
        last_BD = read_GD.new_empty(len(requests), read_GD.shape[1])
        for member, last_D in zip(group, read_GD, strict=True):
            alike = members_of[id(requests[member].spans)]
            self._history.copy(member, alike[1:])
            last_BD[alike] = last_D
        return last_BD

    def _begin_scripts(self, scripted: list[Progress]) -> None:
        if scripted:
            scripted = self._gathered(scripted)
            texts = [self._tokenizer.encode(self._next_text(each)) for each in scripted]
            self._read(scripted, [self._passage(text) for text in texts])

    def _next_text(self, progress: Progress) -> str:
        """The text that the request gives before its next image; it is part of the result."""
        text = progress.request.script[progress.num_images]
        progress.spans.append(Text(text))
        return text

    def _write(self, writing: list[Progress]) -> None:
        """One token for each request."""
        last_BD = torch.stack([progress.last_D for progress in writing])
        logits_BV = self._decoder.text_logits(last_BD).float() + self._forbidden_V
        draw_B = [token_draw(p.request.seed, p.num_choices) for p in writing]
        settings = self._settings
        tokens = choose_tokens(logits_BV, draw_B, settings.temperature, settings.top_k)
        token_of = {p.member: token for p, token in zip(writing, tokens, strict=True)}
        for progress in writing:
            self._take(progress, token_of[progress.member])
        if going_on := self._in_state(writing, State.WRITING):
            self._read(going_on, [self._passage([token_of[p.member]]) for p in going_on])

    def _take(self, progress: Progress, token: int) -> None:
        """What a chosen token does to its request."""
        progress.num_choices += 1
        free_positions = self._context - self._history.held(progress.member)
        if token == self._tokenizer.eod_id:
            self._end(progress, Ending.DOCUMENT)
        elif token == self._tokenizer.boi_id:
            if progress.num_images == self._settings.max_images:
                self._end(progress, Ending.MAX_IMAGES)
            elif free_positions < len(self._image) + IMAGE_FRAME:
                self._end(progress, Ending.CONTEXT)
            else:
                progress.state = State.DRAWING
        elif progress.num_tokens == self._settings.max_tokens:
            self._end(progress, Ending.MAX_TOKENS)
        elif free_positions == 0:
            self._end(progress, Ending.CONTEXT)
        else:
            progress.num_tokens += 1
            self._tell_text(progress, progress.writer.add(token))
            if progress.writer.stopped:
                self._end(progress, Ending.STOP)
            self._end_if_spent(progress)

    def _draw(self, drawing: list[Progress]) -> None:
        """One image for each request, from ``<boi>`` to ``<eoi>``."""
        self._read(drawing, [self._passage([self._tokenizer.boi_id])] * len(drawing))
        canvas = Canvas(
            self._decoder,
            self._flow.prediction,
            self._history,
            [progress.member for progress in drawing],
            image=self._image,
            opened_image=self._opened_image,
            guidance=self._settings.guidance,
        )
        noise_NPC = torch.stack(
            [
                image_noise(
                    p.request.seed, p.num_images, len(self._image), self._decoder.latent_channels
                )
                for p in drawing
            ]
        ).to(self._decoder.device)
        z_NPC = denoise(canvas.velocity, noise_NPC, self._times, self._settings.solver)
        pixels_N3HW = (self._vision.decode(z_NPC) * 255).round().to(torch.uint8)
        for progress, z_PC, pixels_3HW in zip(drawing, z_NPC, pixels_N3HW, strict=True):
            self._finish_image(progress, z_PC, pixels_3HW)
        latents_of = {p.member: z_PC for p, z_PC in zip(drawing, z_NPC, strict=True)}
        going_on = [progress for progress in drawing if progress.state is not State.ENDED]
        if going_on:
            # The last solver step read an unfinished image; what is kept is read at t = 1.
            going_on = self._gathered(going_on)
            drawn = ImageLatents(torch.cat([latents_of[each.member] for each in going_on]))
            self._read(going_on, [self._closed(progress) for progress in going_on], drawn)

    def _closed(self, progress: Progress) -> Passage:
        """The rest of a finished image, and the text that the request gives behind it."""
        if progress.state is State.WRITING:
            return self._closed_image
        text = self._tokenizer.encode(self._next_text(progress))
        return self._passage([*self._closed_image.ids_T.tolist(), *text])

    def _finish_image(self, progress: Progress, z_PC: Tensor, pixels_3HW: Tensor) -> None:
        self._finish_text(progress)
        image = Image(pixels_3HW.permute(1, 2, 0).cpu().numpy(), target=False)
        progress.spans.append(image)
        self._tell(ImageDrawn(progress.number, image, z_PC))
        progress.num_images += 1
        progress.state = State.WRITING
        if progress.num_images < progress.request.num_given_images:
            progress.state = State.DRAWING
        self._end_if_spent(progress)

    def _read(
        self,
        group: list[Progress],
        passages: list[Passage],
        latents: ImageLatents | None = None,
    ) -> None:
        last_BD = self._history.read([progress.member for progress in group], passages, latents)
        for progress, last_D in zip(group, last_BD, strict=True):
            progress.last_D = last_D

    def _in_state(self, among: list[Progress], state: State) -> list[Progress]:
        """Those in a state, gathered in the first rows of the cache and in their order."""
        return self._gathered([progress for progress in among if progress.state is state])

    def _gathered(self, group: list[Progress]) -> list[Progress]:
        """The group in the order of its rows, which are the first ones."""
        progress_of = {progress.member: progress for progress in group}
        return [progress_of[member] for member in self._history.gather(list(progress_of))]

    def _end_if_spent(self, progress: Progress) -> None:
        """Where neither a token nor an image is left, no further choice needs a pass."""
        settings = self._settings
        spent = progress.num_tokens == settings.max_tokens
        if progress.state is State.WRITING and spent and progress.num_images == settings.max_images:
            self._end(progress, Ending.MAX_TOKENS)

    def _end(self, progress: Progress, ending: Ending) -> None:
        self._finish_text(progress)
        progress.state = State.ENDED
        self._tell(Ended(progress.number, ending))

    def _finish_text(self, progress: Progress) -> None:
        self._tell_text(progress, progress.writer.finish())
        if progress.writer.text:
            progress.spans.append(Text(progress.writer.text))
        progress.writer = self._new_writer()

    def _tell_text(self, progress: Progress, piece: str) -> None:
        if piece:
            self._tell(TextWritten(progress.number, piece))

    def _new_writer(self) -> Writer:
        return Writer(self._tokenizer.decode, self._settings.stop)

    def _passage(self, ids: Sequence[int] | np.ndarray, targets: Sequence[bool] = ()) -> Passage:
        return passage(ids, self._tokenizer.image_id, self._vision.shapes, targets)

    def _never_chosen(self) -> Tensor:
        """float32 [V]: minus infinity for what is never a target in training, else 0."""
        tokenizer = self._tokenizer
        forbidden_V = torch.zeros(self._decoder.vocabulary, device=self._decoder.device)
        forbidden_V[tokenizer.vocabulary_size :] = -torch.inf
        for token in (tokenizer.pad_id, tokenizer.bod_id, tokenizer.eoi_id, tokenizer.image_id):
            forbidden_V[token] = -torch.inf
        return forbidden_V
