"""The folders that picture benchmarks read: their prompts, and where each picture lies.

Written from the benchmarks' repositories at the commits that :attr:`Layout.home` names. Pictures
are numbered from 0: sample s of prompt p is number p · samples + s, which is also what the seed of
its noise is counted by.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import Any, ClassVar, NamedTuple

from chiasm.errors import UserError, first_line

_LONGEST_NAME = 255
"""Bytes of a file's name, which is the limit of usual file systems."""

_NOT_IN_NAMES = {"_": "an underscore", "/": "a slash", "\0": "a zero byte"}


class Prompt(NamedTuple):
    """One prompt of a benchmark."""

    words: str
    name: str
    """What the benchmark calls it: its line, its number or its file."""
    about: Mapping[str, Any]
    """What else the benchmark knows of it."""


class PictureFile(NamedTuple):
    """A file of one picture, or of several in a square grid."""

    path: PurePosixPath
    """Inside the benchmark's folder."""
    prompt: int
    pictures: range
    """Numbers of its pictures."""


class Layout(ABC):
    """How one benchmark lays out its prompts and pictures."""

    home: ClassVar[str]
    """Repository and commit that the layout was read in."""
    reads: ClassVar[str]
    """What its prompts are, for messages."""
    samples: ClassVar[int]
    """Pictures of each prompt that its published numbers are of."""
    allowed: ClassVar[tuple[int, ...]] = ()
    """Numbers of samples that its scorer can read; empty: any."""
    scored_by: ClassVar[str]
    """Command that scores a folder {out}; {side} is the pixels of a picture's side."""

    @abstractmethod
    def read(self, path: Path) -> list[Prompt]:
        """Returns the prompts of a benchmark's own file or folder.

        Raises:
            UserError: it is not what the benchmark has.
        """

    @abstractmethod
    def path(self, prompt: Prompt, number: int, sample: int, picture: int) -> str:
        """Returns where a picture lies, by the numbers of its prompt, its sample and itself."""

    def files(self, prompts: Sequence[Prompt], samples: int) -> list[PictureFile]:
        """Returns the files of all pictures, in order.

        Raises:
            UserError: the scorer cannot read so many samples, or two files have one name.
        """
        if self.allowed and samples not in self.allowed:
            raise UserError(
                f": {self.reads} are scored with {' or '.join(map(str, self.allowed))} of each",
                setting="samples",
                value=samples,
                remedy=f"give {self.samples}, which published numbers have",
            )
        files = list(self._files(prompts, samples))
        [(path, count)] = Counter(file.path for file in files).most_common(1)
        if count > 1:
            raise UserError(f"{count} pictures would be {path}: prompts share a name")
        return files

    def _files(self, prompts: Sequence[Prompt], samples: int) -> Iterator[PictureFile]:
        for number, prompt in enumerate(prompts):
            for sample in range(samples):
                picture = number * samples + sample
                path = PurePosixPath(self.path(prompt, number, sample, picture))
                yield PictureFile(path, number, range(picture, picture + 1))

    def other_files(
        self, prompts: Sequence[Prompt], files: Sequence[PictureFile], out: Path
    ) -> Mapping:
        """Returns the texts of files that the scorer reads beside the pictures, by their names."""
        return {}


class GenEval(Layout):
    """A numbered folder for each line of ``evaluation_metadata.jsonl``."""

    home = "djghosh13/geneval at af4902f"
    reads = "lines of evaluation_metadata.jsonl"
    samples = 4
    scored_by = "python evaluation/evaluate_images.py {out} --outfile results.jsonl --model-path …"

    def read(self, path: Path) -> list[Prompt]:
        """Returns the prompts of a file of JSON lines with ``prompt`` and ``tag``."""
        return [
            Prompt(line["prompt"], str(number), line)
            for number, line in enumerate(_json_lines(path, prompt=str, tag=str))
        ]

    def path(self, prompt: Prompt, number: int, sample: int, picture: int) -> str:
        """Returns ``00000/samples/0000.png``."""
        return f"{number:05d}/samples/{sample:04d}.png"

    def other_files(
        self, prompts: Sequence[Prompt], files: Sequence[PictureFile], out: Path
    ) -> Mapping:
        """Returns each folder's ``metadata.jsonl``: the line of its prompt."""
        return {
            f"{number:05d}/metadata.jsonl": json.dumps(prompt.about)
            for number, prompt in enumerate(prompts)
        }


class GenEval2(Layout):
    """One picture for each line of ``geneval2_data.jsonl``, found by a table of paths."""

    home = "facebookresearch/GenEval2 at a6e82d2"
    reads = "lines of geneval2_data.jsonl"
    samples = 1
    allowed = (1,)
    scored_by = (
        "python evaluation.py --benchmark_data {prompts} --image_filepath_data "
        "{out}/image_paths.json --method soft_tifa_gm --output_file score_lists.json"
    )

    def read(self, path: Path) -> list[Prompt]:
        """Returns the prompts of a file of JSON lines with ``prompt``, ``vqa_list``, ``skills``."""
        lines = list(_json_lines(path, prompt=str, vqa_list=list, skills=list))
        twice = [words for words, n in Counter(line["prompt"] for line in lines).items() if n > 1]
        if twice:
            raise UserError(
                f"{path} has {twice[0]!r} twice, and GenEval 2 finds a picture by its prompt alone"
            )
        return [Prompt(line["prompt"], str(number), line) for number, line in enumerate(lines)]

    def path(self, prompt: Prompt, number: int, sample: int, picture: int) -> str:
        """Returns ``00000.png``."""
        return f"{number:05d}.png"

    def other_files(
        self, prompts: Sequence[Prompt], files: Sequence[PictureFile], out: Path
    ) -> Mapping:
        """Returns ``image_paths.json``: the whole path of each prompt's picture."""
        paths = {prompts[file.prompt].words: str(out.absolute() / file.path) for file in files}
        return {"image_paths.json": json.dumps(paths, indent=1, ensure_ascii=False)}


class DPGBench(Layout):
    """One picture for each prompt's text file: a grid of two by two samples, or one alone."""

    home = "TencentQQGYLab/ELLA at 3c228f1"
    reads = "text files of dpg_bench/prompts"
    samples = 4
    allowed = (1, 4)
    scored_by = (
        "accelerate launch dpg_bench/compute_dpg_bench.py --image-root-path {out} "
        "--resolution {side} --pic-num {samples} --res-path results.txt --vqa-model mplug"
    )

    def read(self, path: Path) -> list[Prompt]:
        """Returns the prompts of a folder of text files, in the order of their names."""
        found = sorted(path.glob("*.txt")) if path.is_dir() else []
        if not found:
            raise UserError(f"{path} is no folder of text files, such as dpg_bench/prompts")
        return [Prompt(_text(file).strip(), file.stem, {}) for file in found]

    def path(self, prompt: Prompt, number: int, sample: int, picture: int) -> str:
        """Returns the prompt's name with the ending of a picture."""
        return f"{prompt.name}.png"

    def _files(self, prompts: Sequence[Prompt], samples: int) -> Iterator[PictureFile]:
        for number, prompt in enumerate(prompts):
            path = PurePosixPath(self.path(prompt, number, 0, 0))
            yield PictureFile(path, number, range(number * samples, (number + 1) * samples))


class Wise(Layout):
    """One picture for each prompt, named by its number, which begins at 1."""

    home = "PKU-YuanGroup/WISE at eb51174"
    reads = "prompts of data_verified/merge.json, or of another file of WISE"
    samples = 1
    allowed = (1,)
    scored_by = "IMAGE_DIR={out} bash eval_qwen.sh"

    def read(self, path: Path) -> list[Prompt]:
        """Returns the prompts of a JSON list, or of a folder of them, by their ``prompt_id``."""
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        prompts: dict[int, Prompt] = {}
        for file in files:
            for line in _checked(_json(file), file, Prompt=str, prompt_id=int):
                prompt = Prompt(line["Prompt"], str(line["prompt_id"]), line)
                before = prompts.setdefault(line["prompt_id"], prompt)
                if before.words != prompt.words:
                    raise UserError(
                        f"{path} has two prompts of number {prompt.name}: {before.words!r} and "
                        f"{prompt.words!r}; give files of one kind"
                    )
        if not prompts:
            raise UserError(f"{path} has no files of prompts; give {self.reads}")
        return [prompts[number] for number in sorted(prompts)]

    def path(self, prompt: Prompt, number: int, sample: int, picture: int) -> str:
        """Returns ``1.png``."""
        return f"{prompt.name}.png"


class T2ICompBench(Layout):
    """Pictures of one category in one folder, named by their prompts."""

    home = "Karine-Huang/T2I-CompBench at 1b70949"
    reads = "lines of one category, such as examples/dataset/color_val.txt"
    samples = 10
    scored_by = "python BLIP_vqa.py --out_dir={out}/"

    def read(self, path: Path) -> list[Prompt]:
        """Returns the prompts of a text file, one on each line."""
        lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
        if not lines:
            raise UserError(f"{path} has no prompts; give {self.reads}")
        return [Prompt(line, str(number), {}) for number, line in enumerate(lines)]

    def path(self, prompt: Prompt, number: int, sample: int, picture: int) -> str:
        """Returns ``samples/a red cup_000000.png``: what it shows is read from this name.

        Raises:
            UserError: no file can have the name, or the prompt would be read as another one.
        """
        name = f"{prompt.words}_{picture:06d}.png"
        broken = [f"has {told}" for mark, told in _NOT_IN_NAMES.items() if mark in prompt.words]
        if (size := len(name.encode())) > _LONGEST_NAME:
            broken += [f"makes a name of {size:,} bytes where {_LONGEST_NAME} are the most"]
        if broken:
            raise UserError(
                f"T2I-CompBench reads a prompt from its picture's name, and number {number + 1} "
                f"({shorten(prompt.words, 60)!r}) {' and '.join(broken)}; change or remove it"
            )
        return f"samples/{name}"


LAYOUTS: Mapping[str, Layout] = {
    "geneval": GenEval(),
    "geneval2": GenEval2(),
    "dpg-bench": DPGBench(),
    "wise": Wise(),
    "t2i-compbench": T2ICompBench(),
}


def layout_of(name: str) -> Layout:
    """Returns the layout of a benchmark.

    Raises:
        UserError: there is none of that name.
    """
    if name not in LAYOUTS:
        raise UserError(f"{name!r} is no benchmark; give {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def beside(out: Path, what: str = "json") -> Path:
    """Returns the path of a file beside a benchmark's folder."""
    return out.with_name(f"{out.name}.{what}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is no JSON: {error}") from error


def _json_lines(path: Path, **wanted: type) -> Iterable[dict[str, Any]]:
    lines = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        try:
            lines += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}, is no JSON: {error}") from error
    return _checked(lines, path, **wanted)


def _checked(rows: Any, path: Path, **wanted: type) -> list[dict[str, Any]]:
    """Returns rows that have the wanted fields, each of its type."""
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} has no list of prompts")
    for number, row in enumerate(rows, 1):
        for name, kind in wanted.items():
            if not isinstance(row, dict) or not isinstance(row.get(name), kind):
                raise UserError(
                    f"{path}: number {number} has no {name} ({kind.__name__}): {str(row)[:60]!r}"
                )
    return rows
