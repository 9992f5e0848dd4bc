"""A trained model in Python: its verbs, each for one input or a batch.

Choices:

- one input has one result; a list is a batch, and its result is a list;
- a picture is a path, an encoded file, pixels, a PIL picture or an ``Image``, and comes back as a
  PIL picture; a sound is a ``Waveform`` (samples and their rate) or a ``Sound``, and comes back as
  a ``Waveform``; items of other streams are ``Continuous``, and come back as arrays;
- a prompt is a text, a picture, or a tuple of both in their order;
- sampling is controlled by the settings of ``SamplingSettings``, by their names;
- code that scores and imagines is imported when it is first used, not for sampling.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image as PillowImage

from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Document
from chiasm.errors import UserError, found_at
from chiasm.inference import tasks
from chiasm.inference.pictures import fitted
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import IMAGINING, Ended, Request, SamplingSettings, TextWritten
from chiasm.inference.sampler import Sampler
from chiasm.prompts import Output, Picture, Prompt, image, like, lists, output, spans
from chiasm.toml import parse_settings

if TYPE_CHECKING:
    from chiasm.walk.scripts import Script


@dataclass(frozen=True)
class Score:
    """Likelihood of a text under a model."""

    nats: float
    """-ln of the probability of the text, its end, and the marks that open items in it."""
    text_bytes: int
    """Length of the text in UTF-8."""

    @property
    def bits_per_byte(self) -> float:
        """``nats`` in bits, divided by the text's bytes."""
        return self.nats / math.log(2) / self.text_bytes


class Model(Pretrained):
    """A trained model: it writes, answers, captions, draws, imagines, scores and embeds."""

    def write(self, prompts: Prompt | list[Prompt], *, seed: int = 0, **sampling: Any) -> Any:
        """Returns the text that follows a prompt, up to its end or the first item.

        Prompt n of a list (from 0) has the noise seed ``seed`` + n.

        Raises:
            UserError: an invalid prompt or one longer than the context, an unreadable picture, an
                empty list, or an unknown setting.
        """
        settings = _sampling(sampling, max_items=0)
        found = self._sampler.generate(self._requests(prompts, seed), settings)
        return like(prompts, [Document(tuple(spans)).text for spans in found])

    def go_on(self, prompts: Prompt | list[Prompt], *, seed: int = 0, **sampling: Any) -> Any:
        """Returns the continuation of a prompt: texts and items in the order of generation.

        Raises:
            UserError: as for :meth:`write`.
        """
        found = self._sampler.generate(self._requests(prompts, seed), _sampling(sampling))
        return like(prompts, [[output(span) for span in spans] for spans in found])

    def stream(self, prompt: Prompt, *, seed: int = 0, **sampling: Any) -> Iterator[Output]:
        """Yields the continuation of one prompt while it is generated: pieces of text, and items.

        Raises:
            UserError: as for :meth:`write`, when the first piece is requested.
        """
        for event in self._sampler.stream(self._requests([prompt], seed), _sampling(sampling)):
            if isinstance(event, TextWritten):
                yield event.text
            elif not isinstance(event, Ended):
                yield output(event.item)

    def answer(
        self,
        pictures: Picture | list[Picture],
        questions: str | list[str],
        *,
        seed: int = 0,
        **sampling: Any,
    ) -> Any:
        """Returns the answer to a question about a picture; a single one is used for a whole list.

        Raises:
            UserError: as for :meth:`write`; lists of different lengths.
        """
        given, asked = lists(pictures=pictures, questions=questions)
        images, settings = list(map(image, given)), _sampling(sampling)
        found = tasks.answer(self._sampler, images, asked, settings=settings, seed=seed)
        return found if isinstance(pictures, list) else like(questions, found)

    def caption(self, pictures: Picture | list[Picture], *, seed: int = 0, **sampling: Any) -> Any:
        """Returns a caption of a picture.

        Raises:
            UserError: as for :meth:`write`.
        """
        [given] = lists(pictures=pictures)
        images, settings = list(map(image, given)), _sampling(sampling)
        return like(pictures, tasks.caption(self._sampler, images, settings=settings, seed=seed))

    def draw(self, captions: str | list[str], *, seed: int = 0, **sampling: Any) -> Any:
        """Returns a picture generated from a caption.

        Raises:
            UserError: as for :meth:`write`; the model has no stream of pictures.
        """
        [asked] = lists(captions=captions)
        drawn = tasks.draw(self._sampler, asked, settings=_sampling(sampling), seed=seed)
        return like(captions, list(map(PillowImage.fromarray, drawn)))

    def synthesize(self, words: str | list[str], *, seed: int = 0, **sampling: Any) -> Any:
        """Returns the sound generated from a prompt, such as "sound: a dog barks": Waveform.

        The prompts are whole, as documents have them: "sound: ..." after captions, "speech: ..."
        after transcripts.

        Raises:
            UserError: as for :meth:`write`; the model has no stream of sounds.
        """
        [asked] = lists(words=words)
        settings = _sampling(sampling)
        made = tasks.synthesize(self._sampler, asked, settings=settings, seed=seed)
        return like(words, made)

    def imagine(
        self,
        view: Picture,
        actions: str | Sequence[str] | list[list[str]],
        *,
        views: int | None = None,
        direct: bool = False,
        seed: int = 0,
        **sampling: Any,
    ) -> Any:
        """Returns the imagined view after each action, from a given view: a list of pictures.

        Args:
            view: first view.
            actions: ``["W", "W", "A"]`` or ``"W W A"``; poses in the format of training; with
                ``views``, an instruction. A list of lists is several scripts from the same view,
                with the same noise seed, and its result has a list for each.
            views: number of views over which an instruction is spread.
            direct: whether each view is imagined in one step from the first, by the sum of actions.
            seed: noise seed.
            sampling: fields of ``SamplingSettings``; guidance is 1 by default.

        Raises:
            UserError: as for :meth:`write`; the model was trained without actions, or an action
                cannot be read, is too large or of a horizon outside training.
        """
        from chiasm.walk.scripts import imagine_scripts, numeric_views

        several = not isinstance(actions, str) and not all(isinstance(a, str) for a in actions)
        asked: Sequence[Any] = actions if several else [actions]
        with found_at("actions"):
            scripts = [self._script(each, views) for each in asked]
        settings = _sampling({"guidance": IMAGINING.guidance, **sampling})
        numeric = numeric_views(self, settings, scripts, direct=direct)
        shape = self.vision_tokenizer.image_shape
        start = fitted(image(view), shape)
        found = imagine_scripts(self, settings, numeric, start, scripts, seed)
        seen = [list(map(PillowImage.fromarray, own)) for own in found]
        return seen if several else seen[0]

    def score(self, prompts: Prompt | list[Prompt], *, seed: int = 0) -> Any:
        """Returns the likelihood of a prompt's text, as a document of its own: Score.

        Raises:
            UserError: as for :meth:`write`; a prompt without text.
        """
        from chiasm.evaluation.scoring import score_text

        documents = self._documents(prompts, seed)
        if any(not document.text for document in documents):
            raise UserError(": there is no text to score", setting="prompts", remedy="give some")
        nats = score_text(documents, self, seed).nats.tolist()
        sizes = [len(document.text.encode()) for document in documents]
        return like(prompts, [Score(*pair) for pair in zip(nats, sizes, strict=True)])

    @torch.inference_mode()
    def embed(self, prompts: Prompt | list[Prompt]) -> np.ndarray:
        """Returns the mean hidden vector of a prompt's positions: float32 [D], [N, D] for a list.

        Hidden vectors are those after the last norm, which the heads read; items are clean.

        Raises:
            UserError: as for :meth:`write`.
        """
        from chiasm.evaluation.scoring import batches, hidden_vectors

        documents = self._documents(prompts, 0)
        sums_ND = torch.zeros(len(documents), self.decoder.settings.width, device=self.device)
        counts_N1 = sums_ND.new_zeros(len(documents), 1)
        for begin, batch in batches(documents, self):
            x_MD = hidden_vectors(batch, self).float()
            source_M = batch.source_BT.flatten()
            filled_R = (source_M >= 0).nonzero().squeeze(1)
            of_R = begin + source_M[filled_R]
            sums_ND.index_add_(0, of_R, x_MD[filled_R])
            counts_N1.index_add_(0, of_R, sums_ND.new_ones(len(of_R), 1))
        found_ND = (sums_ND / counts_N1).cpu().numpy()
        return found_ND if isinstance(prompts, list) else found_ND[0]

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self)

    def _requests(self, prompts: Prompt | list[Prompt], seed: int) -> list[Request]:
        [given] = lists(prompts=prompts)
        return [Request(spans(prompt), seed + number) for number, prompt in enumerate(given)]

    def _documents(self, prompts: Prompt | list[Prompt], seed: int) -> list[Document]:
        """Returns prompts as documents; refuses one beyond the context, which would be cut."""
        documents = [Document(request.spans) for request in self._requests(prompts, seed)]
        positions = self.context_positions
        encode = DocumentEncoder(self.text_tokenizer, self.tokenizers, positions)
        for number, document in enumerate(documents):
            if len(pieces := encode(document)) > 1:
                size = sum(len(piece.ids) for piece in pieces)
                told = f": number {number} takes {size} positions, and the context {positions}"
                raise UserError(told, setting="prompts", remedy="give it in shorter ones")
        return documents

    def _script(self, actions: str | Sequence[str], views: int | None) -> Script:
        from chiasm.walk.scripts import read_instruction, read_script

        if views is not None:
            return read_instruction(str(actions), views, self.actions)
        return read_script(actions if isinstance(actions, str) else ";".join(actions), self)

    def __repr__(self) -> str:
        return f"<chiasm.Model: {', '.join(f'{k} {v}' for k, v in self._facts().items())}>"

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(told)}</td></tr>"
            for name, told in self._facts().items()
        )
        return f"<table>{''.join(rows)}</table>"

    def _facts(self) -> dict[str, str]:
        """Returns facts about the model for its representations."""
        parameters = self.decoder.count_parameters()
        settings = self.decoder.settings
        return {
            "parameters": f"{parameters.total:,} ({parameters.active:,} active)",
            "width": f"{settings.width}, depth {settings.depth}",
            "experts": settings.experts,
            "context": f"{self.context_positions} positions",
            "vocabulary": f"{self.text_tokenizer.vocabulary_size}",
            **{f"stream {name}": own.name for name, own in self.tokenizers.items()},
            "device": str(self.device),
        }


def _sampling(given: dict[str, Any], **fixed: Any) -> SamplingSettings:
    """Returns sampling settings; raises a UserError for an unknown setting or a wrong value."""
    return parse_settings(SamplingSettings, {**given, **fixed})
