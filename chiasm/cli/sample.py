"""``chiasm sample``: text to the terminal, pictures, sounds and other items to files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from PIL import Image as PillowImage

from chiasm.batch.streams import IMAGE, Streams
from chiasm.cli.options import Device, Trained, but, check_folder, with_settings
from chiasm.data.media import AUDIO
from chiasm.documents import Continuous, Image, Sound, Span, Text
from chiasm.errors import UserError
from chiasm.inference.request import (
    Ended,
    Ending,
    Event,
    Generated,
    Request,
    SamplingSettings,
    TextWritten,
)
from chiasm.waveform import Waveform

if TYPE_CHECKING:
    from chiasm.inference.pretrained import Pretrained

DEFAULTS = SamplingSettings()


@with_settings
def sample(
    run: Trained,
    prompt: Annotated[
        str,
        typer.Option(help="What to go on from; <image> or other <STREAM> say where items stand."),
    ] = "",
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture file; before the prompt, if not marked.")
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STREAM=FILE",
            help="An item of a stream: a sound, a NumPy array (.npy), or a picture.",
        ),
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Begin with a picture, or an item of the only stream.")
    ] = False,
    draw_stream: Annotated[
        str | None, typer.Option(metavar="STREAM", help="Begin with an item of this stream.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of what is drawn.")] = Path("samples"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn at random.")] = 0,
    settings: Annotated[SamplingSettings, but("batch_size", steps="solver_steps")] = DEFAULTS,
    device: Device = "auto",
) -> None:
    """Go on with a document: write, answer, draw, imagine the next view.

    Examples:

      chiasm sample RUN --prompt "story:"

      chiasm sample RUN --prompt "picture: a room with a brick wall" --draw --max-tokens 0

      chiasm sample RUN --image view.png --prompt "question: what is on the left? answer:"
      --stop "\\n"

      chiasm sample RUN --image view.png --prompt "action: dx=+0.34 dy=-0.02 dyaw=+12"

      chiasm sample RUN --item sound=bark.wav --prompt "caption:"

      chiasm sample RUN --image view.png --prompt "video:<image>" --draw-stream sound

      chiasm sample RUN --item series=wave.npy --prompt "name:"

      chiasm sample RUN --prompt "wave: slow" --draw-stream series --max-tokens 0
    """
    stop = tuple(text.replace("\\n", "\n") for text in settings.stop)
    settings = settings.model_copy(update={"stop": stop})
    check_folder(out)
    files = [GivenItem(IMAGE, file, f"--image {file}") for file in image or []]
    files += [GivenItem.parse(text) for text in item or []]
    items = [file.span() for file in files]
    spans = prompt_spans(prompt, items)
    # With torch, which a mistake need not wait for.
    from chiasm.inference.pretrained import Pretrained
    from chiasm.inference.sampler import Sampler

    pretrained = Pretrained.load(run, device)
    for file, span in zip(files, items, strict=True):
        check_item(file, span, pretrained)
    if draw and draw_stream is None:
        draw_stream = drawn_stream(pretrained.decoder.shapes)
    opened = IMAGE if draw_stream is None else draw_stream
    request = Request(spans, seed, opens=draw_stream is not None, stream=opened)
    terminal = Terminal(out, seed)
    for event in Sampler(pretrained).stream([request], settings):
        if settings.max_tokens or event != Ended(0, Ending.MAX_TOKENS):  # none were asked for
            terminal.show(event)


@dataclass(frozen=True)
class GivenItem:
    """An item of the prompt, as given on the command line."""

    stream: str
    file: Path
    option: str
    """Option that the item comes from, for messages."""

    @classmethod
    def parse(cls, text: str) -> GivenItem:
        """Returns the item of an --item option.

        Raises:
            UserError: it is not STREAM=FILE.
        """
        stream, _, file = text.partition("=")
        if not stream or not file:
            raise UserError(f"--item {text}: write STREAM=FILE, such as series=wave.npy")
        return cls(stream, Path(file), f"--item {text}")

    def span(self) -> Continuous:
        """Returns the item as context, read from its file.

        Raises:
            UserError: the file is missing, or cannot be read as an array or as a picture. (A sound
                is read by the stream's tokenizer.)
        """
        if not self.file.is_file():
            raise UserError(f"{self.option} does not exist; give a file")
        if AUDIO.is_of(self.file):
            return Sound(self.file, target=False, stream=self.stream)
        if self.file.suffix != ".npy":
            try:
                pixels = Image(self.file, target=False).pixels()
            except UserError as error:
                raise UserError(
                    f"{self.option}: {error}; give a picture, a sound, or a .npy file"
                ) from error
            return Image(pixels, target=False, stream=self.stream)
        try:
            array = np.load(self.file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{self.option} holds no NumPy array of numbers: {error}; write it with numpy.save"
            ) from error
        return Continuous(array, target=False, stream=self.stream)


def prompt_spans(prompt: str, items: Sequence[Continuous]) -> tuple[Span, ...]:
    """Returns the prompt's texts and items in their order.

    A mark ``<STREAM>`` is replaced by the next item of that stream; without marks, items come
    first.

    Raises:
        UserError: marks and items of a stream differ in number.
    """
    num_given = Counter({IMAGE: 0})
    num_given.update(item.stream for item in items)
    marks = "|".join(re.escape(stream) for stream in num_given)
    first, *rest = re.split(f"<({marks})>", prompt)
    if not rest:
        return (*items, *((Text(prompt),) if prompt else ()))
    for stream, given in num_given.items():
        if (marked := rest[::2].count(stream)) != given:
            option = "--image" if stream == IMAGE else f"--item {stream}=..."
            raise UserError(
                f"--prompt has {marked} of <{stream}> and {option} stands {given} times; give as "
                "many, or leave all marks out to put the items first"
            )
    following = {name: iter([i for i in items if i.stream == name]) for name in num_given}
    spans: list[Span] = [Text(first)]
    for stream, text in zip(rest[::2], rest[1::2], strict=True):
        spans += [next(following[stream]), Text(text)]
    return tuple(span for span in spans if span != Text(""))


def check_item(given: GivenItem, span: Continuous, pretrained: Pretrained) -> None:
    """Refuses an item that its stream's tokenizer cannot encode, as a picture for a sensor."""
    try:
        pretrained.tokenizers.encode_spans([span], pretrained.device)
    except UserError as error:  # what may be advised before a training is no help behind it
        error.remedy = error.remedy and "give another one, or a part of it"
        raise error.at(given.option) from error


def drawn_stream(streams: Streams) -> str:
    """Returns the stream whose items --draw opens: that of pictures, or the only one.

    Raises:
        UserError: there are several streams and none of them are pictures.
    """
    names = streams.generated
    if IMAGE in names or not names:
        return IMAGE
    if len(names) > 1:
        raise UserError(
            f"--draw does not say of which stream, {' or '.join(names)}; name it with --draw-stream"
        )
    return names[0]


class Terminal:
    """Prints the sampler's events: text as it settles, an item as the path of its file."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._num_items = 0
        self._at_line_begin = True

    def show(self, event: Event) -> None:
        """Prints one event."""
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
        others = "wav" if isinstance(item, Sound) else "npy"
        path = self._free_path(item.stream, "png" if isinstance(item, Image) else others)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if isinstance(item, Image):
                PillowImage.fromarray(item.pixels()).save(path)
            elif isinstance(item.data, Waveform):
                item.data.save(path)
            else:
                np.save(path, item.data)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error}") from error
        return path

    def _free_path(self, stream: str, ending: str) -> Path:
        """Returns a new path: an existing file may be an item of this sample's own prompt."""
        while True:
            self._num_items += 1
            path = self._folder / f"seed-{self._seed}-{stream}-{self._num_items}.{ending}"
            if not path.exists():
                return path

    def _end_line(self) -> None:
        if not self._at_line_begin:
            typer.echo("")
            self._at_line_begin = True
