"""What is said of each measure: the heading over its samples and what its baselines are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """What the page says of one section of an evaluation."""

    baselines: str = ""
    """What the numbers are held against."""
    heading: str = ""
    """Over its samples."""
    lead: str = ""
    """What to look for in them."""


MEASURES = {
    "text": Wording(
        "The unigram, trigram and 5-gram are interpolated Kneser-Ney models over the same "
        "tokenizer's ids, fitted on training documents of the same source (at most "
        "ngram_documents of the evaluation's settings) and scored on exactly the tokens that the "
        "model predicts: those of the text and the marks <eod> and <boi>, while bytes are those "
        "of the text. For a source with pictures the n-grams read its text only. Without <eod>: "
        "the bits_per_byte of lm-evaluation-harness, the text's own tokens behind the begin of "
        "its document; two to this power is its byte_perplexity.",
    ),
    "flow loss": Wording(
        "The baseline is the best linear guess for latents that are white noise of mean 0 and "
        "variance 1, whose velocity loss at flow time t is 1 / (t² + (1 − t)²): what is reached "
        "by knowing nothing but the latents' scale.",
    ),
    "caption to picture": Wording(
        "A linear probe, trained on frozen tokenizer features of real training frames with the "
        "world's ground truth, reads a drawn picture; it counts when it finds what the caption "
        "names. Shuffled captions: the same pictures held against captions of other maps that "
        "name something else. The probe's own accuracy on real held-out frames, raw and through "
        "the tokenizer, is listed with it, and is the ceiling.",
        heading="What it draws",
        lead="Pictures drawn from captions that training never saw. A caption leaves much open, "
        "so the truth is one of many right pictures; the truth through the tokenizer is the "
        "sharpest that this model could draw.",
    ),
    "questions": Wording(
        "Answers are greedy, end with their document or where another question begins, and count "
        "only when they match exactly, all lines of them. As many tokens are written as the "
        "longest true answer of the source has. The majority answer is the most frequent one to "
        "questions of that kind in training; the blank image is one grey picture in place of the "
        "view, with the same model and question.",
        heading="What it answers",
        lead="Questions about held-out views, answered greedily.",
    ),
    "picture to caption": Wording(
        heading="What it sees",
        lead="Captions of held-out pictures, written greedily.",
    ),
    "next view": Wording(
        "Imagined frames have passed the tokenizer's decoder and lost detail there, so the like "
        "baseline is the last frame decoded through the same tokenizer; the raw last frame is "
        "shown too. Shuffled actions: the same frames and the same noise with another action, of "
        "another walk or map. Feature distance is the root mean square between standardised "
        "latents.",
        heading="What it imagines",
        lead="The next view after an action, beside the truth and the truth through the tokenizer.",
    ),
    "rollout": Wording(
        "A rollout begins with evaluation.history_frames frames of a held-out walk; each further "
        "view is imagined from those before it and the true action. The last context frame stays "
        "as it was. Shuffled actions: the same frames and the same noise with other actions, all "
        "of one other walk or map. The nearest training frame is the one among "
        "rollout_training_frames whose features are nearest to the true frame, which a model that "
        "only remembers could at best show: it is chosen by looking at the truth. All have passed "
        "the same tokenizer.",
        heading="How far ahead it imagines",
        lead="One view after the other, each from the imagined ones before it and the next "
        "action; beside each, the truth through the tokenizer.",
    ),
    "instructions": Wording(
        "The model imagines the views after a sentence. The engine photographs every step that "
        "the expert could take, and the photograph nearest to the imagined view, both through the "
        "same tokenizer, says which step it was; what is said is done when the walk that is found "
        "so ends at the goal. Other sentences: the same first view and noise with a sentence of "
        "another map that asks for something else. The random walker takes as many steps from the "
        "same start. The true views, decoded, show what the measure itself loses.",
        heading="Where it goes when told",
        lead="The views that it imagines after a sentence; where they lead, by the engine; and "
        "where the expert came.",
    ),
    "plans": Wording(
        "Each scene is a stretch of a held-out walk: the planner sees its first view and a "
        "picture of its goal, and its path is held against the true one, without alignment (ATE: "
        "root mean square distance of the positions; RPE: of the steps). No motion stays; the "
        "straight line goes ahead by the mean length of a training step.",
        heading="What it plans",
        lead="From the start to the goal picture: the end of the plan as the model imagines it, "
        "and what it imagines at the end of each baseline.",
    ),
    "continuation": Wording(
        heading="What it writes",
        lead="Free continuations, in which the model itself decides when to open a picture.",
    ),
    "recurrence": Wording(
        "Sentences from a grammar recur; the share of held-out sentences that stand word for word "
        "in the training split says how much of the text score could be memory.",
    ),
}
"""Section → wording, in the order of the page."""
