"""Question accuracy against the majority answer and against the model without the view."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from chiasm.capabilities import Questioning
from chiasm.data.reading import ReadingLog
from chiasm.documents import NEXT_QUESTION, Image, Source, Text
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import Material, cluster_of, picked, spread
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.passage import prompt_passage
from chiasm.inference.pictures import fitted
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import answer_prompts

SECTION = "questions"
ALL = "all kinds"
BEYOND = "true answers that cannot be given: beyond answer_tokens or context, or lost in tokens"

MAJORITY_DOCUMENTS = 1500
"""Training documents whose questions the majority answers are counted on, at most."""

_LOOKED_AT = 16
"""Documents that are read to see whether a source asks anything."""


@dataclass(frozen=True)
class Asked:
    """One question about one picture."""

    image: Image
    cluster: int
    kind: str
    prompt: Text
    answer: Text
    """As it follows the prompt in a document."""

    @property
    def truth(self) -> str:
        """The answer without the spaces around it."""
        return self.answer.text.strip()


def measure_questions(
    pretrained: Pretrained,
    name: str,
    material: Material,
    settings: EvaluationSettings,
    of: str = "",
) -> Findings:
    """Rows for every kind and for all, and the first answers; nothing when none is asked.

    ``of`` follows the rows' names, where several sources are measured.
    """
    # More are made than asked, so that rare kinds are as many as frequent ones.
    every = _questions(material.held_out[name], settings.questions, material.log)
    asked = _balanced(every, settings.questions)
    fitting = [each for each in asked if _room(pretrained, each) > 0]
    skipped = {}
    if len(fitting) < len(asked):
        skipped[f"{SECTION}{of}, {len(asked) - len(fitting)} of {len(asked)}"] = (
            f"with their picture they are longer than the model's context of "
            f"{pretrained.context_positions} positions"
        )
    if not fitting:
        return Findings(skipped=skipped)
    training = _questions(material.train[name], MAJORITY_DOCUMENTS, ReadingLog(), pictures=False)
    majority = majorities((each.kind, each.truth) for each in training)
    rows, samples = _measure(pretrained, fitting, majority, settings, of)
    return Findings(rows, samples, skipped=skipped)


def majorities(training: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Kind → its most frequent answer, from (kind, answer) pairs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, answered in training:
        counts[kind][answered] += 1
    return {kind: counter.most_common(1)[0][0] for kind, counter in counts.items()}


def asks(source: Source) -> bool:
    """Whether a source asks questions about pictures."""
    return any(True for _ in _questions(source, _LOOKED_AT, ReadingLog(), pictures=False))


def _questions(
    source: Source, count: int, log: ReadingLog, *, pictures: bool = True
) -> Iterator[Asked]:
    """The questions of ``count`` documents, with their kinds where the source knows them.

    A document that asks is a context picture, and then prompts and answers in turn.
    """
    numbers = picked(source, count).tolist()
    for number, document in log.documents(source, numbers, pictures=pictures):
        first, *texts = document.spans
        prompts = [span for span in texts[::2] if isinstance(span, Text)]
        answers = [span for span in texts[1::2] if isinstance(span, Text)]
        if not isinstance(first, Image) or first.target or not answers:
            continue
        if len(prompts) != len(answers) or len(texts) != 2 * len(answers):
            continue
        cluster = cluster_of(source, number, document)
        known = source.question_kinds(number) if isinstance(source, Questioning) else ()
        kinds = known or [source.name] * len(answers)
        for kind, prompt, answered in zip(kinds, prompts, answers, strict=True):
            yield Asked(first, cluster, kind, prompt, answered)


def _balanced(asked: Iterable[Asked], count: int) -> list[Asked]:
    """About ``count`` questions, as many of each kind, each kind spread over all views."""
    by_kind: dict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        by_kind[each.kind].append(each)
    share = max(1, count // max(1, len(by_kind)))
    chosen = [
        [own[number] for number in spread(len(own), share)] for _, own in sorted(by_kind.items())
    ]
    return [each for each in chain(*zip_longest(*chosen)) if each is not None]


def _measure(
    pretrained: Pretrained,
    asked: list[Asked],
    majority: dict[str, str],
    settings: EvaluationSettings,
    of: str,
) -> tuple[list[Row], list[Sample]]:
    seen = _answers(pretrained, asked, [each.image for each in asked], settings)
    blank = Image(_blank(pretrained), target=False)
    blind = _answers(pretrained, asked, [blank] * len(asked), settings)
    usual = [majority.get(each.kind, "") for each in asked]
    beyond = np.array([_is_beyond(pretrained, each, settings) for each in asked])
    right, blind_right, usual_right = (
        np.array([given == each.truth for given, each in zip(answers, asked, strict=True)])
        for answers in (seen, blind, usual)
    )
    right, blind_right = right & ~beyond, blind_right & ~beyond
    kinds = np.array([each.kind for each in asked])
    clusters = np.array([each.cluster for each in asked])
    rows: list[Row] = []
    several = np.unique(kinds).tolist() if len(set(kinds)) > 1 else []
    for kind in (ALL, *several):
        own = np.ones(len(asked), bool) if kind == ALL else kinds == kind
        measure = Measurement(SECTION, "share", "higher", settings.seed, clusters[own])
        for baseline, answers in (("majority answer", usual_right), ("blank image", blind_right)):
            label = f"questions answered right, {kind.replace('_', ' ')}{of}"
            headline = kind == ALL
            rows.append(measure.row(label, right[own], answers[own], baseline, headline=headline))
    if beyond.any():
        measure = Measurement(SECTION, "share", "lower", settings.seed, clusters)
        rows.append(measure.row(f"{BEYOND} ({settings.answer_tokens}){of}", beyond))
    shape = pretrained.vision_tokenizer.image_shape
    samples = [
        Sample(
            SECTION,
            (("Q", _shown(each.prompt)), ("model", given), ("truth", each.truth)),
            (Panel("view", fitted(each.image, shape)),),
        )
        for each, given in zip(asked[: settings.shown], seen, strict=False)
    ]
    return rows, samples


def _answers(
    pretrained: Pretrained, asked: list[Asked], images: list[Image], settings: EvaluationSettings
) -> list[str]:
    longest = max(_answer_tokens(pretrained, each) for each in asked)
    # What follows the longest answer must have room to show that it is over.
    budget = min(longest, settings.answer_tokens) + len(
        pretrained.text_tokenizer.encode(NEXT_QUESTION)
    )
    greedy = SamplingSettings(
        temperature=0, max_tokens=budget, rows_at_once=settings.rows_per_batch
    )
    prompts = [each.prompt.text for each in asked]
    sampler = Sampler(pretrained)
    return answer_prompts(sampler, images, prompts, settings=greedy, seed=settings.seed)


def _answer_tokens(pretrained: Pretrained, asked: Asked) -> int:
    """Tokens of the true answer where it follows its prompt."""
    encode = pretrained.text_tokenizer.encode
    return len(encode(asked.prompt.text + asked.answer.text)) - len(encode(asked.prompt.text))


def _room(pretrained: Pretrained, asked: Asked) -> int:
    """Positions that the context has left behind the picture and the prompt."""
    tokenizer, streams = pretrained.text_tokenizer, pretrained.tokenizers.streams
    prompt = prompt_passage((asked.image, asked.prompt), tokenizer, streams)
    return pretrained.context_positions - len(prompt)


def _is_beyond(pretrained: Pretrained, asked: Asked, settings: EvaluationSettings) -> bool:
    """Whether no model could give the true answer: too long, or with tokens that say another."""
    tokenizer = pretrained.text_tokenizer
    given = tokenizer.decode(tokenizer.encode(asked.answer.text)).strip()
    length = _answer_tokens(pretrained, asked)
    room = min(settings.answer_tokens, _room(pretrained, asked))
    return length > room or given != asked.truth or NEXT_QUESTION in asked.answer.text


def _shown(prompt: Text) -> str:
    """The question of a prompt, for people."""
    words = prompt.text.strip()
    return words.removeprefix("question: ").removesuffix(" answer:")


def _blank(pretrained: Pretrained) -> np.ndarray:
    """A grey picture: it says nothing of any view."""
    shape = pretrained.vision_tokenizer.image_shape
    return np.full((shape.height_pixels, shape.width_pixels, 3), 128, np.uint8)
