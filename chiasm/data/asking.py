"""How a model is asked by what its documents look like: lines of Python, and what they go on with.

Lines read ``model``; ``view``, a picture; and ``heard``, a sound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from chiasm.actions import ActionFormat
from chiasm.documents import CAPTION_PROMPT, PICTURE_PROMPT, TEMPLATE, question_prompt


class Asking(NamedTuple):
    """A line of Python, and the document that the model goes on with; "…" is what it makes."""

    line: str
    document: str
    makes: str = ""
    """Stream of what it makes; empty: text."""
    field: str = ""
    """Field of the demo page that takes such words: ``write``, ``ask``, or a drawn stream."""
    words: str = ""


def writing(prompt: str) -> Asking:
    """Returns how a text is gone on with."""
    line = f"print(model.write({_quoted(prompt)}))"
    return Asking(line, f"{prompt} …", field="write", words=prompt)


def captioning(words: str) -> tuple[Asking, Asking]:
    """Returns how a picture is drawn, and how its caption is asked for."""
    drawn = f"view = model.draw({_quoted(words)})", f"{PICTURE_PROMPT} {words} …"
    return (
        Asking(*drawn, "image", "image", words),
        Asking("print(model.caption(view))", f"[view] {CAPTION_PROMPT} …"),
    )


def answering(question: str, templates: Sequence[str] = (TEMPLATE,)) -> Asking:
    """Returns how a question about a picture is put, in the usual form or else in the first."""
    if TEMPLATE in templates:
        told = f"print(model.answer(view, {_quoted(question)}))"
        document = f"[view] {question_prompt(question)} …"
        return Asking(told, document, field="ask", words=question)
    prompt = question_prompt(question, templates[0])
    return Asking(f"print(model.write((view, {_quoted(prompt)})))", f"[view] {prompt} …")


def hearing(prompt: str) -> Asking:
    """Returns how words about a sound are asked for."""
    return Asking(f"print(model.write((heard, {_quoted(prompt)})))", f"[heard] {prompt} …")


def sounding(prompt: str) -> Asking:
    """Returns how a sound is made."""
    line = f"heard = model.synthesize({_quoted(prompt)})"
    return Asking(line, f"{prompt} …", "sound", "sound", prompt)


def imagining(actions: ActionFormat) -> Asking:
    """Returns how the views after some steps are imagined, where steps are poses or keys."""
    step = actions.write(actions.read("W"))
    return Asking(
        'views = model.imagine(view, ["W", "W", "A"])', f"[view] {step} … and so on", "image"
    )


def _quoted(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)
