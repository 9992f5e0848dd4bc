"""The model class of lm-evaluation-harness; importing this file registers ``chiasm`` there.

The harness finds models of other packages by nothing but such an import: ``chiasm lm-eval`` makes
it and hands over to the harness's own command line.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import lm_eval.models  # noqa: F401  (its own models, which a first registration would hide)
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from chiasm.errors import UserError
from chiasm.harness.likelihoods import Continuation, likelihoods
from chiasm.harness.requests import (
    batch_size_of,
    ending,
    prompt_spans,
    sampling_settings,
    written,
)
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler

MAX_TOKENS = 256
"""Tokens of a generated text where its task does not say how many: as of the harness's ``hf``."""

_log = logging.getLogger(__name__)


@register_model("chiasm")
class ChiasmLM(TemplateLM):
    """A trained model as the harness asks it: log-likelihoods of texts, and texts.

    Args:
        pretrained: a run, a saved model or a hub id; in Python also the model itself.
        device: ``cpu``, ``cuda`` or ``auto``.
        batch_size: rows of a pass, and texts that are written together; changes no result.
        max_batch_size: not used; the harness passes it to every model.
        seed: of texts that are sampled; the n-th of a task draws with ``seed`` + n.

    Raises:
        UserError: there is no such model, or ``batch_size`` is no number.
    """

    MULTIMODAL = True  # how the harness asks whether pictures may be given

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
        self._pretrained, self._sampler, self._seed = pretrained, Sampler(pretrained), seed
        self.batch_size = batch_size_of(batch_size)
        self._counts: Counter[str] = Counter()

    @property
    def device(self) -> str:
        """Name of the model's device."""
        return str(self._pretrained.device)

    @property
    def eot_token_id(self) -> int:
        """``<eod>``, which ends a document."""
        return self._pretrained.text_tokenizer.eod_id

    @property
    def prefix_token_id(self) -> int:
        """``<bod>``, behind which every text stands."""
        return self._pretrained.text_tokenizer.bod_id

    @property
    def max_length(self) -> int:
        """Tokens that may be read to predict one: the context's positions but that of ``<bod>``."""
        return self._pretrained.context_positions - 1

    @property
    def tokenizer_name(self) -> str:
        """Fingerprint of the text tokenizer."""
        return self._pretrained.text_tokenizer.fingerprint

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Returns the tokens of a text, without special ones."""
        return self._pretrained.text_tokenizer.encode(string)

    def get_model_info(self) -> dict[str, Any]:
        """Returns what the harness's results say of the model, and how often texts were cut."""
        return {
            "model_num_parameters": self._pretrained.decoder.count_parameters().total,
            "context_positions": self._pretrained.context_positions,
            **self._counts,
        }

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Returns the log-probability of each continuation, and whether it is the greedy one.

        Raises:
            UserError: a continuation is empty, or is longer than the context.
        """
        for _, continuation in (request.args for request in requests):
            if not continuation:
                raise _refused("", "is empty", "give every choice a text")
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Returns the log-probability of each whole text behind ``<bod>``, without its end.

        A text beyond the context is scored in the windows of the harness, each behind ``<bod>``.
        """
        texts = [request.args[0] for request in requests]
        windows: list[Continuation] = []
        of_window: list[int] = []
        for number, text in enumerate(texts):
            rolled = get_rolling_token_windows(
                self.tok_encode(text), self.prefix_token_id, self.max_length, context_len=1
            )
            own = [self._behind_bod(*make_disjoint_window(window)) for window in rolled]
            windows += own
            of_window += [number] * len(own)
        longer = sum(count > 1 for count in Counter(of_window).values())
        told = "texts are longer: they are scored in windows"
        self._count("texts_in_windows", longer, len(texts), told)
        sums = [0.0] * len(texts)
        for number, (log_probability, _) in enumerate(self._scored(windows, disable_tqdm)):
            sums[of_window[number]] += log_probability
        for text, found in zip(texts, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), found)
        return sums

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Returns the text that follows each context, up to a stop string, ``<eod>`` or the limit.

        Raises:
            UserError: a task asks for more tokens than the context has, or for what
                :func:`~chiasm.harness.requests.sampling_settings` refuses.
        """
        most = min(MAX_TOKENS, self.max_length // 2)
        prompts, settings, cuts = [], [], 0
        for number, (text, given, *media) in enumerate(request.args for request in requests):
            settings.append(sampling_settings(given, most, self.batch_size))
            left = text if media else self._left(text, settings[-1])
            cuts += left != text
            spans = prompt_spans(left, *map(_pictures, media))
            prompts.append(Request(spans, self._seed + number))
        told = "contexts are cut from the left to leave room for what is generated"
        self._count("contexts_cut", cuts, len(requests), told)
        found = tqdm(
            written(self._sampler, prompts, settings),
            total=len(requests),
            desc="chiasm: writing",
            disable=disable_tqdm,
        )
        texts = dict(found)
        for number, text in texts.items():
            self.cache_hook.add_partial("generate_until", requests[number].args[:2], text)
        return [texts[number] for number in range(len(requests))]

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """Returns the scores of continuations as the harness has divided their tokens."""
        asked, cuts = [], 0
        for (context, continuation), context_ids, ids in requests:
            if not ids:
                raise _refused(
                    continuation,
                    f"has no token of its own behind {context[-20:]!r}: the tokenizer joins both",
                    'set the task\'s target_delimiter: " "',
                )
            if len(ids) > self.max_length:
                raise _refused(
                    continuation,
                    f"has {len(ids)} tokens, and the model reads at most {self.max_length}",
                    "take a model with a longer context, or leave the task out",
                )
            asked.append(self._behind_bod(context_ids, ids))
            cuts += len(context_ids) + len(ids) > self.max_length + 1
        told = "contexts are longer: they are cut from the left"
        self._count("contexts_cut", cuts, len(requests), told)
        found = self._scored(asked, disable_tqdm)
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request[0], result)
        return found

    def _behind_bod(self, context: Sequence[int], tokens: Sequence[int]) -> Continuation:
        """Returns a continuation whose context is cut from the left to what may be read."""
        if list(context) == [self.prefix_token_id]:
            context = []  # stands before every text
        room = self.max_length + 1 - len(tokens)
        return Continuation(tuple(context[max(0, len(context) - room) :]), tuple(tokens))

    def _scored(
        self, asked: Sequence[Continuation], disable_tqdm: bool
    ) -> list[tuple[float, bool]]:
        found = tqdm(
            likelihoods(asked, self._pretrained, self.batch_size),
            total=len(asked),
            desc="chiasm: scoring",
            disable=disable_tqdm,
        )
        results = dict(found)
        return [tuple(results[number]) for number in range(len(asked))]

    def _left(self, text: str, settings: SamplingSettings) -> str:
        """Returns the ending of a context that leaves room for what is written."""
        room = self.max_length - settings.max_tokens
        if room <= 0:
            raise UserError(
                f"leaves no room for a prompt: the model reads at most {self.max_length} tokens",
                setting="generation_kwargs.max_gen_toks",
                value=settings.max_tokens,
                remedy="give fewer, as with --gen_kwargs max_gen_toks=64",
            )
        return ending(text, self._pretrained.text_tokenizer, room)

    def _count(self, name: str, number: int, among: int, told: str) -> None:
        """Adds to a number of the results, and tells once of all that it counts."""
        self._counts[name] += number
        if number:
            _log.warning(
                f"the model reads at most {self.max_length} tokens, and {number} of {among} {told} "
                f"(config.{name} of the results)"
            )


def _pictures(media: dict[str, Any]) -> list[Any]:
    if others := set(media) - {"visual"}:
        raise UserError(f"the task gives {', '.join(others)}; chiasm answers text and pictures")
    return media["visual"]


def _refused(continuation: str, why: str, remedy: str) -> UserError:
    return UserError(f"a choice {continuation[:40]!r} {why}; {remedy}")
