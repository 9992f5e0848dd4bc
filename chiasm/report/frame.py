"""What every page is made of: the frame with its style, and text that folds away."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template


def frame(title: str, sections: Iterable[str]) -> str:
    """A whole page that needs nothing beside it; empty sections are left out."""
    template = Template((files("chiasm.report") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body="\n".join(filter(None, sections)))


def fold(title: str, text: str) -> str:
    """Text that opens when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
