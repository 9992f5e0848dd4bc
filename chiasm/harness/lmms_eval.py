"""The model class of lmms-eval, which finds it by its entry point ``lmms_eval.models``."""

from __future__ import annotations

from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest

from chiasm.documents import NEXT_QUESTION, question_prompt
from chiasm.errors import UserError
from chiasm.harness.requests import batch_size_of, prompt_spans, sampling_settings, written
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request
from chiasm.inference.sampler import Sampler

ANSWER_TOKENS = 64
"""Tokens of an answer where its task does not say how many."""

MANIFEST = ModelManifest("chiasm", simple_class_path=f"{__name__}.ChiasmLMM")
"""What the entry point gives."""


class ChiasmLMM(lmms):
    """A trained model as lmms-eval asks it: answers to questions about pictures.

    A question is put as in training, ``question: … answer:`` behind the pictures, and the answer
    ends where the next question would begin.

    Args:
        pretrained: a run, a saved model or a hub id; in Python also the model itself.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: questions that are answered together; changes no result.
        max_batch_size: not used; the harness passes it to every model.
        seed: of answers that are sampled; the n-th of a task draws with ``seed`` + n.

    Raises:
        UserError: there is no such model, or ``batch_size`` is no number.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str | Pretrained,
        device: str = "auto",
        batch_size: int | str = "auto",
        max_batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(pretrained, Pretrained):
            pretrained = Pretrained.load(pretrained, device)
        self.device, self._sampler, self._seed = pretrained.device, Sampler(pretrained), seed
        self.batch_size = batch_size_of(batch_size)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Returns the answer to each question.

        Raises:
            UserError: a question does not fit the context with its pictures, or a task asks for
                what :func:`~chiasm.harness.requests.sampling_settings` refuses.
        """
        prompts, settings = [], []
        for number, (context, given, visuals_of, at, task, split) in enumerate(
            request.args for request in requests
        ):
            own = sampling_settings(given, ANSWER_TOKENS, self.batch_size)
            settings.append(own.model_copy(update={"stop": (*own.stop, NEXT_QUESTION)}))
            seen = visuals_of(self.task_dict[task][split][at])
            spans = prompt_spans(question_prompt(context), seen)
            prompts.append(Request(spans, self._seed + number))
        texts = dict(written(self._sampler, prompts, settings))
        return [texts[number].strip() for number in range(len(requests))]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refuses: only text is scored (:mod:`chiasm.harness.lm_eval`)."""
        raise UserError("chiasm answers lmms-eval's tasks that generate; this one scores choices")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[Any]:
        """Refuses: a question is asked alone."""
        raise UserError("chiasm answers one question at a time; this task has several rounds")
