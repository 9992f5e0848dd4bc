"""Question accuracy against the majority answer and against the model without the view.

A question is asked about a picture, or about a sound.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.capabilities import Answered, Questioning
from chiasm.data.reading import ReadingLog
from chiasm.documents import NEXT_QUESTION, Image, Sound, Source, Text
from chiasm.evaluation.agreement import AGREEING, vqa_accuracy
from chiasm.evaluation.evaluation import Findings, Panel, Sample, SoundPanel
from chiasm.evaluation.material import cluster_of, picked, spread
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings
from chiasm.waveform import Waveform

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

ALL = "all kinds"
BEYOND = "true answers that cannot be given: beyond answer_tokens or context, or lost in tokens"
AGREEMENT = "answers that people gave, by the accuracy of VQAv2"

MAJORITY_DOCUMENTS = 1500
"""Most training documents whose questions the majority answers are counted on."""

_LOOKED_AT = 16
"""Documents that are read to see whether a source asks questions."""


@dataclass(frozen=True)
class Asked:
    """One question about one picture or sound."""

    item: Image | Sound
    cluster: int
    kind: str
    prompt: Text
    answer: Text
    """Text that follows the prompt in a document."""
    people: tuple[str, ...] = ()
    """All true answers, where the source has several."""

    @property
    def truth(self) -> str:
        """The answer without the spaces around it."""
        return self.answer.text.strip()


class QuestionSettings(MeasureSettings):
    """How many questions are asked, and how long an answer may be."""

    questions: int = Field(600, ge=1)
    """Held-out questions, spread evenly over their kinds."""
    answer_tokens: int = Field(256, ge=1)
    """Tokens of an answer, at most; within that, as many as the source's longest true answer has.
    Of true answers that are longer, which count as wrong, the report has the share."""


class Questions(Measure[QuestionSettings]):
    """Accuracy on each kind of question and on all, and the first answers."""

    section = "questions"
    settings = QuestionSettings
    baselines = (
        "Answers are greedy, end with their document or where another question begins, and count "
        "only when they match exactly, all lines of them. As many tokens are written as the "
        "longest true answer of the source has. The majority answer is the most frequent one to "
        "questions of that kind in training; the blank image is one grey picture in place of the "
        "view, with the same model and question, and silence is that in place of a sound. The "
        "accuracy of VQAv2 is of questions that four people or more answered: an answer that three "
        "of the others gave is right, one or two of them are a part of that."
    )
    heading = "What it answers"
    lead = "Questions about held-out views, answered greedily."
    overview = "Answered about a held-out view"

    def measure(self, run: Run[QuestionSettings]) -> Findings:
        """Returns the findings on each source that asks questions."""
        held_out = run.material.held_out
        sources = {name: source for name, source in held_out.items() if asks(source)}
        if not sources:
            return Findings(skipped={self.section: "no source asks about pictures or sounds"})
        return self.by_source(sources, lambda name, _, of: self.measure_source(run, name, of))

    def measure_source(self, run: Run[QuestionSettings], name: str, of: str = "") -> Findings:
        """Returns the findings on one source; ``of`` is appended to the names of its rows."""
        # More are made than asked, so that rare kinds are as many as frequent ones.
        count = run.settings.questions
        asked = _balanced(_questions(run.material.held_out[name], count, run.log), count)
        fitting = [each for each in asked if _room(run, each) > 0]
        skipped = {}
        if len(fitting) < len(asked):
            skipped[f"{self.section}{of}, {len(asked) - len(fitting)} of {len(asked)}"] = (
                f"with their picture or sound they are longer than the model's context of "
                f"{run.pretrained.context_positions} positions"
            )
        if not fitting:
            return Findings(skipped=skipped)
        train = run.material.train[name]
        training = _questions(train, MAJORITY_DOCUMENTS, ReadingLog(), pictures=False)
        majority = majorities((each.kind, each.truth) for each in training)
        rows, samples = _measure(run, fitting, majority, of)
        return Findings(rows, samples, skipped=skipped)


def majorities(training: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the most frequent answer of each kind, from (kind, answer) pairs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, answered in training:
        counts[kind][answered] += 1
    return {kind: counter.most_common(1)[0][0] for kind, counter in counts.items()}


def asks(source: Source) -> bool:
    """Returns whether a source asks questions about pictures or sounds."""
    return any(True for _ in _questions(source, _LOOKED_AT, ReadingLog(), pictures=False))


def _questions(
    source: Source, count: int, log: ReadingLog, *, pictures: bool = True
) -> Iterator[Asked]:
    """Yields the questions of ``count`` documents, with their kinds where the source knows them.

    A document that asks is a picture or a sound as context, then prompts and answers in turn.
    """
    numbers = picked(source, count).tolist()
    for number, document in log.documents(source, numbers, pictures=pictures):
        first, *texts = document.spans
        prompts = [span for span in texts[::2] if isinstance(span, Text)]
        answers = [span for span in texts[1::2] if isinstance(span, Text)]
        if not isinstance(first, Image | Sound) or first.target or not answers:
            continue
        if len(prompts) != len(answers) or len(texts) != 2 * len(answers):
            continue
        cluster = cluster_of(source, number, document)
        known = source.question_kinds(number) if isinstance(source, Questioning) else ()
        kinds = known or [source.name] * len(answers)
        people = source.answers(number) if pictures and isinstance(source, Answered) else ()
        people = people or [()] * len(answers)
        for kind, prompt, answered, said in zip(kinds, prompts, answers, people, strict=True):
            yield Asked(first, cluster, kind, prompt, answered, tuple(said))


def _balanced(asked: Iterable[Asked], count: int) -> list[Asked]:
    """Returns about ``count`` questions, the same number of each kind, spread over all views."""
    by_kind: dict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        by_kind[each.kind].append(each)
    share = max(1, count // max(1, len(by_kind)))
    chosen = [
        [own[number] for number in spread(len(own), share)] for _, own in sorted(by_kind.items())
    ]
    return [each for each in chain(*zip_longest(*chosen)) if each is not None]


def _measure(
    run: Run[QuestionSettings], asked: list[Asked], majority: dict[str, str], of: str
) -> tuple[list[Row], list[Sample]]:
    seen = _answers(run, asked, [each.item for each in asked])
    blind = _answers(run, asked, _blanks(run, asked))
    without = "blank image" if isinstance(asked[0].item, Image) else "silence"
    usual = [majority.get(each.kind, "") for each in asked]
    beyond = np.array([_is_beyond(run, each) for each in asked])
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
        measure = run.measurement(Questions.section, "share", "higher", clusters[own])
        for baseline, answers in (("majority answer", usual_right), (without, blind_right)):
            label = f"questions answered right, {kind.replace('_', ' ')}{of}"
            headline = kind == ALL
            rows.append(measure.row(label, right[own], answers[own], baseline, headline=headline))
    rows += _agreement(run, asked, {without: blind, "majority answer": usual}, seen, of)
    if beyond.any():
        measure = run.measurement(Questions.section, "share", "lower", clusters)
        rows.append(measure.row(f"{BEYOND} ({run.settings.answer_tokens}){of}", beyond))
    samples = [
        Sample(
            Questions.section,
            (("Q", _shown(each.prompt)), ("model", given), ("truth", each.truth)),
            (_panel(run, each.item),),
        )
        for each, given in zip(asked[: run.settings.shown], seen, strict=False)
    ]
    return rows, samples


def _agreement(
    run: Run[QuestionSettings],
    asked: list[Asked],
    baselines: dict[str, list[str]],
    seen: list[str],
    of: str,
) -> list[Row]:
    """Returns the accuracy of VQAv2, of questions that enough people answered for a right one."""
    enough = [number for number, each in enumerate(asked) if len(each.people) > AGREEING]
    if not enough:
        return []

    def accuracies(given: list[str]) -> list[float]:
        return [vqa_accuracy(given[number], asked[number].people) for number in enough]

    clusters = [asked[number].cluster for number in enough]
    measure = run.measurement(Questions.section, "share", "higher", clusters)
    others = {name: accuracies(given) for name, given in baselines.items()}
    return measure.rows(f"{AGREEMENT}{of}", accuracies(seen), others)


def _panel(run: Run[QuestionSettings], item: Image | Sound) -> Panel | SoundPanel:
    if isinstance(item, Image):
        return Panel("view", run.fitted(item))
    return SoundPanel.of("heard", item)


def _answers(
    run: Run[QuestionSettings], asked: list[Asked], items: list[Image | Sound]
) -> list[str]:
    from chiasm.inference.tasks import answer_prompts

    longest = max(_answer_tokens(run, each) for each in asked)
    # What follows the longest answer must have room to show that it is over.
    over = len(run.pretrained.text_tokenizer.encode(NEXT_QUESTION))
    greedy = run.settings.writing(min(longest, run.settings.answer_tokens) + over)
    # Greedy answers draw nothing: an item is asked each question once, the blank one above all.
    pairs = zip(items, asked, strict=True)
    keys = [(id(item), each.prompt.text) for item, each in pairs]
    once = dict(zip(keys, items, strict=True))
    prompts, seed = [prompt for _, prompt in once], run.settings.seed
    answers = answer_prompts(run.sampler, list(once.values()), prompts, settings=greedy, seed=seed)
    answer_of = dict(zip(once, answers, strict=True))
    return [answer_of[key] for key in keys]


def _answer_tokens(run: Run[QuestionSettings], asked: Asked) -> int:
    """Returns the number of tokens of the true answer behind its prompt."""
    encode = run.pretrained.text_tokenizer.encode
    return len(encode(asked.prompt.text + asked.answer.text)) - len(encode(asked.prompt.text))


def _room(run: Run[QuestionSettings], asked: Asked) -> int:
    """Returns the number of context positions that are left behind image and prompt."""
    from chiasm.inference.passage import prompt_passage

    own = run.pretrained
    prompt = prompt_passage((asked.item, asked.prompt), own.text_tokenizer, own.tokenizers)
    return own.context_positions - len(prompt)


def _is_beyond(run: Run[QuestionSettings], asked: Asked) -> bool:
    """Returns whether no model could give the true answer: too long, or lost in its tokens."""
    tokenizer = run.pretrained.text_tokenizer
    given = tokenizer.decode(tokenizer.encode(asked.answer.text)).strip()
    length = _answer_tokens(run, asked)
    room = min(run.settings.answer_tokens, _room(run, asked))
    return length > room or given != asked.truth or NEXT_QUESTION in asked.answer.text


def _shown(prompt: Text) -> str:
    """Returns the question of a prompt, without its markers."""
    words = prompt.text.strip()
    return words.removeprefix("question: ").removesuffix(" answer:")


def _blanks(run: Run[QuestionSettings], asked: list[Asked]) -> list[Image | Sound]:
    """Returns an item without information in place of each one: one grey picture, one silence."""
    kinds = {type(each.item) for each in asked}
    made = {kind: _blank(run) if kind is Image else _silence() for kind in kinds}
    return [made[type(each.item)] for each in asked]


def _blank(run: Run[QuestionSettings]) -> Image:
    """Returns a grey image, which has no information about any view."""
    shape = run.image_shape
    grey = np.full((shape.height_pixels, shape.width_pixels, 3), 128, np.uint8)
    return Image(grey, target=False)


def _silence() -> Sound:
    """Returns a silent sound: one sample, which tokenizers follow by silence."""
    return Sound(Waveform(np.zeros(1, np.float32), 16_000), target=False)
