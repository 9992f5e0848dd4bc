"""``chiasm sample``: text to the terminal, pictures to files, as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image as PillowImage

from chiasm.cli.options import Guidance
from chiasm.documents import Continuous, Image, Text
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import (
    Ended,
    Event,
    Generated,
    Request,
    SamplingSettings,
    TextWritten,
)
from chiasm.inference.sampler import Sampler
from chiasm.inference.solvers import Solver

MARK = "<image>"
"""Stands in a prompt where an image stands."""

DEFAULTS = SamplingSettings()


def sample(
    run: Annotated[str, typer.Argument(help="a run, a saved model, or a hub id owner/name")],
    prompt: Annotated[
        str, typer.Option(help="what to go on from; <image> says where an --image stands")
    ] = "",
    image: Annotated[
        list[Path] | None, typer.Option(help="a picture file; before the prompt, if not marked")
    ] = None,
    draw: Annotated[bool, typer.Option("--draw", help="begin with a picture")] = False,
    out: Annotated[Path, typer.Option(help="folder of the pictures")] = Path("samples"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy")] = DEFAULTS.temperature,
    top_k: Annotated[int | None, typer.Option(min=1)] = DEFAULTS.top_k,
    max_tokens: Annotated[int, typer.Option(min=0)] = DEFAULTS.max_tokens,
    max_items: Annotated[int, typer.Option(min=0)] = DEFAULTS.max_items,
    stop: Annotated[
        list[str] | None, typer.Option(help=r"text that ends the sample; \n is a line's end")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="of the solver")] = DEFAULTS.steps,
    solver: Annotated[Solver, typer.Option()] = DEFAULTS.solver,
    guidance: Guidance = DEFAULTS.guidance,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
) -> None:
    """Go on with a document: write, answer, draw, imagine the next view.

    Examples:

      chiasm sample RUN --prompt "story:"

      chiasm sample RUN --prompt "picture: a room with a brick wall" --draw --max-tokens 0

      chiasm sample RUN --image view.png --prompt "question: what is on the left? answer:"
      --stop "\\n"

      chiasm sample RUN --image view.png --prompt "action: dx=+0.34 dy=-0.02 dyaw=+12"
    """
    settings = SamplingSettings(
        temperature=temperature,
        top_k=top_k,
        max_tokens=max_tokens,
        max_items=max_items,
        stop=tuple(text.replace("\\n", "\n") for text in stop or ()),
        steps=steps,
        solver=solver,
        guidance=guidance,
    )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder")
    request = Request(prompt_spans(prompt, image or []), seed, opens=draw)
    pretrained = Pretrained.load(run, device)
    Sampler(pretrained).generate([request], settings, Terminal(out, seed))


def prompt_spans(prompt: str, files: list[Path]) -> tuple[Text | Image, ...]:
    """The prompt's texts and pictures in their order; pictures are decoded at once.

    Raises:
        UserError: marks and pictures differ in number, or a picture is missing or cannot be
            decoded.
    """
    missing = [file for file in files if not file.exists()]
    if missing:
        raise UserError(f"--image {missing[0]} does not exist")
    pictures = [Image(Image(file, target=False).pixels(), target=False) for file in files]
    texts = prompt.split(MARK)
    if len(texts) == 1:
        texts = [""] * len(pictures) + texts
    if len(texts) != len(pictures) + 1:
        raise UserError(
            f"--prompt has {len(texts) - 1} times {MARK} but there are {len(pictures)} --image; "
            "give as many, or leave the marks out to put the images first"
        )
    spans: list[Text | Image] = [Text(texts[0])]
    for picture, text in zip(pictures, texts[1:], strict=True):
        spans += [picture, Text(text)]
    return tuple(span for span in spans if span != Text(""))


class Terminal:
    """Prints what the sampler tells: text as it settles, a picture as the path of its file."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._num_items = 0
        self._at_line_begin = True

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, TextWritten):
            typer.echo(event.text, nl=False)
            self._at_line_begin = event.text.endswith("\n")
        elif isinstance(event, Generated):
            self._end_line()
            typer.echo(self._write(event.item))
        elif isinstance(event, Ended):
            self._end_line()
            typer.echo(f"({event.ending})", err=True)

    def _write(self, item: Continuous) -> Path:
        path = self._free_path(item.stream, "png" if isinstance(item, Image) else "npy")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if isinstance(item, Image):
                PillowImage.fromarray(item.pixels()).save(path)
            else:
                np.save(path, item.data)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error}") from error
        return path

    def _free_path(self, stream: str, ending: str) -> Path:
        """No item is written over: an earlier one may be this sample's own prompt."""
        while True:
            self._num_items += 1
            path = self._folder / f"seed-{self._seed}-{stream}-{self._num_items}.{ending}"
            if not path.exists():
                return path

    def _end_line(self) -> None:
        if not self._at_line_begin:
            typer.echo("")
            self._at_line_begin = True
