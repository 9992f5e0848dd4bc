"""Question accuracy against the majority answer and against the model without the view."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from chiasm.documents import Image, Source
from chiasm.evaluation.evaluation import Panel, Sample
from chiasm.evaluation.material import Material, cluster_of, picked, spread
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import fitted
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import answer
from chiasm.worlds import WorldSource

SECTION = "questions"
TASK = "vqa"
ALL = "all kinds"

MAJORITY_DOCUMENTS = 1500
"""Training documents whose questions the majority answers are counted on, at most."""

_QUESTION = re.compile(r"question: (.*?) answer: (.*?)\n")


@dataclass(frozen=True)
class Asked:
    """One question about one picture."""

    image: Image
    cluster: int
    kind: str
    question: str
    answer: str


def measure_questions(
    pretrained: Pretrained, name: str, material: Material, settings: EvaluationSettings
) -> tuple[list[Row], list[Sample]]:
    """Rows for every kind and for all, and the first answers; nothing when none is asked."""
    # More are made than asked, so that rare kinds are as many as frequent ones.
    asked = _balanced(_questions(material.held_out[name], settings.questions), settings.questions)
    if not asked:
        return [], []
    training = _questions(material.train[name], MAJORITY_DOCUMENTS)
    majority = majorities((each.kind, each.answer) for each in training)
    return _measure(pretrained, asked, majority, settings)


def majorities(training: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Kind → its most frequent answer, from (kind, answer) pairs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, answered in training:
        counts[kind][answered] += 1
    return {kind: counter.most_common(1)[0][0] for kind, counter in counts.items()}


def _questions(source: Source, count: int) -> Iterator[Asked]:
    """The questions of ``count`` documents, with their kinds where the world knows them."""
    for number in picked(source, count).tolist():
        document = source[number]
        first = document.spans[0]
        if not isinstance(first, Image) or first.target:
            continue
        cluster = cluster_of(source, number, document)
        if isinstance(source, WorldSource) and source.name == TASK:
            for each in source.questions_of(number):
                yield Asked(first, cluster, each.kind, each.question, each.answer)
        else:
            for question, answered in _QUESTION.findall(document.text):
                yield Asked(first, cluster, source.name, question, answered)


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
) -> tuple[list[Row], list[Sample]]:
    seen = _answers(pretrained, asked, [each.image for each in asked], settings)
    blank = Image(_blank(pretrained), target=False)
    blind = _answers(pretrained, asked, [blank] * len(asked), settings)
    usual = [majority.get(each.kind, "") for each in asked]
    right, blind_right, usual_right = (
        np.array([given == each.answer for given, each in zip(answers, asked, strict=True)])
        for answers in (seen, blind, usual)
    )
    kinds = np.array([each.kind for each in asked])
    clusters = np.array([each.cluster for each in asked])
    rows: list[Row] = []
    for kind in (ALL, *np.unique(kinds).tolist()):
        own = np.ones(len(asked), bool) if kind == ALL else kinds == kind
        measure = Measurement(SECTION, "share", "higher", settings.seed, clusters[own])
        for baseline, answers in (("majority answer", usual_right), ("blank image", blind_right)):
            label = f"questions answered right, {kind.replace('_', ' ')}"
            headline = kind == ALL
            rows.append(measure.row(label, right[own], answers[own], baseline, headline=headline))
    shape = pretrained.vision_tokenizer.image_shape
    samples = [
        Sample(
            SECTION,
            (("Q", each.question), ("model", given), ("truth", each.answer)),
            (Panel("view", fitted(each.image, shape)),),
        )
        for each, given in zip(asked, seen, strict=True)
    ]
    return rows, samples[: settings.shown]


def _answers(
    pretrained: Pretrained, asked: list[Asked], images: list[Image], settings: EvaluationSettings
) -> list[str]:
    greedy = SamplingSettings(
        temperature=0, max_tokens=settings.answer_tokens, rows_at_once=settings.rows_per_batch
    )
    words = [each.question for each in asked]
    return answer(Sampler(pretrained), images, words, settings=greedy, seed=settings.seed)


def _blank(pretrained: Pretrained) -> np.ndarray:
    """A grey picture: it says nothing of any view."""
    shape = pretrained.vision_tokenizer.image_shape
    return np.full((shape.height_pixels, shape.width_pixels, 3), 128, np.uint8)
