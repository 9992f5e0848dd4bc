"""Numbers, verdicts and baselines in words: one honest phrase for each, used everywhere."""

from __future__ import annotations

import math

from chiasm.evaluation.rows import Row
from chiasm.intervals import Verdict

BASELINES = {
    "text": (
        "The unigram, trigram and 5-gram are interpolated Kneser-Ney models over the same "
        "tokenizer's ids, fitted on training documents of the same source (at most ngram_documents "
        "of the evaluation's settings) and scored on exactly the tokens that the model predicts: "
        "those of the text and the marks <eod> and <boi>, while bytes are those of the text. For a "
        "source with pictures the n-grams read its text only. Without <eod>: the bits_per_byte of "
        "lm-evaluation-harness, the text's own tokens behind the begin of its document; two to "
        "this power is its byte_perplexity."
    ),
    "flow loss": (
        "The baseline is the best linear guess for latents that are white noise of mean 0 and "
        "variance 1, whose velocity loss at flow time t is 1 / (t² + (1 − t)²): what is reached "
        "by knowing nothing but the latents' scale."
    ),
    "caption to picture": (
        "A linear probe, trained on frozen tokenizer features of real training frames with the "
        "world's ground truth, reads a drawn picture; it counts when it finds what the caption "
        "names. Shuffled captions: the same pictures held against captions of other maps that name "
        "something else. The probe's own accuracy on real held-out frames, raw and through the "
        "tokenizer, is listed with it, and is the ceiling."
    ),
    "questions": (
        "Answers are greedy, end with their document or where another question begins, and count "
        "only when they match exactly, all lines of them. As many tokens are written as the "
        "longest true answer of the source has. The majority answer is the most frequent one to "
        "questions of that kind in training; the blank image is one grey picture in place of the "
        "view, with the same model and question."
    ),
    "next view": (
        "Imagined frames have passed the tokenizer's decoder and lost detail there, so the like "
        "baseline is the last frame decoded through the same tokenizer; the raw last frame is "
        "shown too. Shuffled actions: the same frames and the same noise with another action, of "
        "another walk or map. Feature distance is the root mean square between standardised "
        "latents."
    ),
    "rollout": (
        "A rollout begins with evaluation.history_frames frames of a held-out walk; each further "
        "view is imagined from those before it and the true action. The last context frame stays "
        "as it was. Shuffled actions: the same frames and the same noise with other actions, all "
        "of one other walk or map. The nearest training frame is the one among "
        "rollout_training_frames whose features are nearest to the true frame, which a model that "
        "only remembers could at best show: it is chosen by looking at the truth. All have passed "
        "the same tokenizer."
    ),
    "instructions": (
        "The model imagines the views after a sentence. The engine photographs every step that the "
        "expert could take, and the photograph nearest to the imagined view, both through the "
        "same tokenizer, says which step it was; what is said is done when the walk that is found "
        "so ends at the goal. Other sentences: the same first view and noise with a sentence of "
        "another map that asks for something else. The random walker takes as many steps from the "
        "same start. The true views, decoded, show what the measure itself loses."
    ),
    "plans": (
        "Each scene is a stretch of a held-out walk: the planner sees its first view and a picture "
        "of its goal, and its path is held against the true one, without alignment (ATE: root mean "
        "square distance of the positions; RPE: of the steps). No motion stays; the straight line "
        "goes ahead by the mean length of a training step."
    ),
    "recurrence": (
        "Sentences from a grammar recur; the share of held-out sentences that stand word for word "
        "in the training split says how much of the text score could be memory."
    ),
}
"""Section → what its baselines are."""

_DECIMALS = {"share": 1, "dB": 2}


def number(value: float, unit: str) -> str:
    """A value with the digits that its unit deserves; shares as per cent."""
    if math.isnan(value):
        return "unknown"
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:.{_DECIMALS.get(unit, 3)}f}"


def with_error(value: float, standard_error: float, unit: str) -> str:
    """A value and its standard error."""
    if math.isnan(standard_error):
        return f"{number(value, unit)} (one cluster: no standard error)"
    if unit == "share":
        return f"{100 * value:.1f} ± {100 * standard_error:.1f} %"
    digits = _DECIMALS.get(unit, 3)
    return f"{value:.{digits}f} ± {standard_error:.{digits}f}"


def signed(row: Row) -> str:
    """The paired difference with its sign and standard error; empty without a baseline."""
    if row.difference is None or row.difference_se is None:
        return ""
    sign = "+" if row.difference > 0 else "−" if row.difference < 0 else ""
    if math.isnan(row.difference_se):
        return f"{sign}{number(abs(row.difference), row.unit)}"
    return sign + with_error(abs(row.difference), row.difference_se, row.unit)


def verdict_phrase(row: Row) -> str:
    """The comparison as a sentence."""
    if row.verdict is Verdict.SHOWN or row.difference is None or row.difference_se is None:
        return "shown, no baseline"
    if math.isnan(row.difference_se):
        return f"not separated from {row.baseline_name}: one cluster gives no standard error"
    if row.verdict is Verdict.NOT_SEPARATED:
        return f"not separated from {row.baseline_name}: within two standard errors"
    verb = "beats" if row.verdict is Verdict.BEATS else "worse than"
    if not row.difference_se:
        return f"{verb} {row.baseline_name}"
    errors = abs(row.difference) / row.difference_se
    return f"{verb} {row.baseline_name} by {errors:.1f} standard errors"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def short_count(value: float) -> str:
    """A count in three digits: 54.3k, 1.58G."""
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.0f}"
