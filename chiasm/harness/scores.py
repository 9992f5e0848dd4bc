"""What the scorers of picture benchmarks wrote, read back as rows of our own table.

Each reader refuses results that are not of all pictures: most scorers average over what is there.
Standard errors are clustered by prompt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from chiasm.errors import UserError, first_line
from chiasm.evaluation.rows import Measurement, Row
from chiasm.harness.drawing import Drawn
from chiasm.harness.layouts import Prompt, layout_of
from chiasm.whole import sha256_of

WISE_VERIFIED = {"culture": 400, "time": 520, "space": 640, "biology": 760, "physics": 880}
"""Last prompt of each category; what comes behind them is chemistry."""

WISE_PAPER = {"culture": 400, "time": 567, "space": 700, "biology": 800, "physics": 900}
"""The same of the prompts of the paper, which are now those of ``WISE_legacy``."""

_UNSEEN = 3
"""Missing pictures that a message names."""


@dataclass(frozen=True)
class Scores:
    """Rows of a benchmark, and where they come from."""

    rows: tuple[Row, ...]
    source: Mapping[str, str]
    """The scorer, and the name and SHA-256 of each file of its results."""


@dataclass(frozen=True)
class _Scored:
    """A benchmark's folder whose results are read."""

    drawn: Drawn
    prompts: Sequence[Prompt]

    def row(
        self,
        name: str,
        values: Sequence[float] | np.ndarray,
        prompts: Sequence[int] | np.ndarray,
        weights: np.ndarray | None = None,
        *,
        headline: bool = False,
    ) -> Row:
        """Returns the mean of values by the prompts that they belong to."""
        measurement = Measurement(
            self.drawn.benchmark, "share", "higher", self.drawn.seed, prompts, weights
        )
        return measurement.row(name, values, headline=headline)

    def by_group(self, groups: Sequence[str], values: np.ndarray, prompts: np.ndarray) -> list[Row]:
        """Returns the mean of each group of values, in their order."""
        of = np.array(groups)
        return [
            self.row(str(group), values[of == group], prompts[of == group])
            for group in dict.fromkeys(groups)
        ]

    def refuse_missing(self, found: Sequence[Any], wanted: Sequence[Any], path: Path) -> None:
        """Refuses results that are not of all wanted pictures, or of others."""
        missing = sorted(set(wanted) - set(found))
        strange = sorted(set(found) - set(wanted))
        if missing or strange:
            of = [f"{len(missing)} of {len(wanted)} pictures have none"] if missing else []
            of += [f"{len(strange)} are of pictures that were not drawn"] if strange else []
            shown = ", ".join(map(str, (missing or strange)[:_UNSEEN]))
            raise UserError(
                f"{path} has not the scores of this folder: {' and '.join(of)}, such as {shown}; "
                "score all of them, and nothing else"
            )


def read_scores(drawn: Drawn, results: Sequence[Path], scorer: str = "") -> Scores:
    """Returns the scores that a scorer wrote for a folder: the benchmark's own, unless it is named.

    Raises:
        UserError: a file is missing or is not what the scorer writes, or has not the scores of all
            pictures of the folder.
    """
    scored = _Scored(drawn, drawn.read_prompts())
    if len(results) > 1 and drawn.benchmark != "wise":
        raise UserError(f"{len(results)} files of results; {drawn.benchmark} has one, give it")
    files = {path.name: f"sha256 {sha256_of(path)}" for path in results if path.is_file()}
    try:
        rows = _READERS[drawn.benchmark](scored, results)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{results[0]} cannot be read: {first_line(error)}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{', '.join(map(str, results))}: no results of {drawn.benchmark}: "
            f"{type(error).__name__} {first_line(error)}"
        ) from error
    return Scores(tuple(rows), {"scorer": scorer or layout_of(drawn.benchmark).home, **files})


def _geneval(scored: _Scored, results: Sequence[Path]) -> list[Row]:
    """Reads JSON lines with ``filename``, ``tag`` and ``correct``."""
    lines = _lines(results[0])
    files = ["/".join(PurePosixPath(line["filename"]).parts[-3:]) for line in lines]
    layout = layout_of(scored.drawn.benchmark)
    wanted = [str(file.path) for file in layout.files(scored.prompts, scored.drawn.samples)]
    scored.refuse_missing(files, wanted, results[0])
    tags = [str(line["tag"]) for line in lines]
    if twice := len(lines) - len(set(zip(files, tags, strict=True))):
        raise UserError(f"{results[0]} has {twice} pictures twice; give the results of one call")
    values = np.array([float(line["correct"]) for line in lines])
    prompts = np.array([int(file.split("/")[0]) for file in files])
    # The mean of the means of tasks, whatever the number of pictures in each.
    _, task, count = np.unique(tags, return_inverse=True, return_counts=True)
    weights = 1 / (len(count) * count[task])
    overall = scored.row("mean over tasks", values * weights, prompts, weights, headline=True)
    return [overall, *scored.by_group(tags, values, prompts)]


def _geneval2(scored: _Scored, results: Sequence[Path]) -> list[Row]:
    """Reads a list with a list of scores for each prompt, one for each of its questions."""
    lists = [np.array(own, float) for own in json.loads(results[0].read_text())]
    wanted = [len(prompt.about["vqa_list"]) for prompt in scored.prompts]
    numbers = np.arange(len(lists))
    if [len(own) for own in lists] == [1] * len(wanted):
        means = [own[0] for own in lists]
        return [scored.row("VQAScore", means, numbers, headline=True)]
    if [len(own) for own in lists] != wanted:
        raise UserError(
            f"{results[0]} has {len(lists)} lists of scores, and {len(wanted)} prompts were drawn "
            "with as many questions as they have; score them all"
        )
    with np.errstate(divide="ignore"):
        geometric = [float(np.exp(np.log(own).mean())) for own in lists]
    atoms = np.concatenate(lists)
    skills = [skill for prompt in scored.prompts for skill in prompt.about["skills"]]
    hard = not (set(atoms) - {0.0, 1.0})
    name = "TIFA" if hard else "Soft-TIFA, arithmetic mean"
    rows = [scored.row(name, [own.mean() for own in lists], numbers, headline=hard)]
    if not hard:
        first = scored.row("Soft-TIFA, geometric mean", geometric, numbers, headline=True)
        rows = [first, *rows]
    return [*rows, *scored.by_group(skills, atoms, np.repeat(numbers, wanted))]


def _dpg_bench(scored: _Scored, results: Sequence[Path]) -> list[Row]:
    """Reads lines ``path, score of each tile, mean``; what stands below them is not read."""
    found: dict[str, float] = {}
    count = scored.drawn.samples + 1
    for line in results[0].read_text().splitlines():
        path, *scores = line.rsplit(", ", count)
        if len(scores) == count and path.endswith(".png"):
            found[PurePosixPath(path).stem] = float(scores[-1])
    scored.refuse_missing(list(found), [prompt.name for prompt in scored.prompts], results[0])
    values = [found[prompt.name] for prompt in scored.prompts]
    return [scored.row("DPG-Bench score", values, np.arange(len(values)), headline=True)]


def _wise(scored: _Scored, results: Sequence[Path]) -> list[Row]:
    """Reads JSON lines with ``prompt_id`` and ``score``, or the three scores of the paper."""
    lines = {line["prompt_id"]: line for path in results for line in _lines(path)}
    numbers = [int(prompt.name) for prompt in scored.prompts]
    scored.refuse_missing(list(lines), numbers, results[0])
    verified = "score" in lines[numbers[0]]
    values = np.array([_wise_score(lines[number], verified) for number in numbers])
    name, last = (
        ("WISE_Verified", WISE_VERIFIED) if verified else ("WISE, as in the paper", WISE_PAPER)
    )
    groups = [next((own for own in last if number <= last[own]), "chemistry") for number in numbers]
    at = np.arange(len(numbers))
    return [scored.row(name, values, at, headline=True), *scored.by_group(groups, values, at)]


def _wise_score(line: Mapping[str, Any], verified: bool) -> float:
    if verified:
        return float(line["score"])
    return (0.7 * line["consistency"] + 0.2 * line["realism"] + 0.1 * line["aesthetic_quality"]) / 2


def _t2i_compbench(scored: _Scored, results: Sequence[Path]) -> list[Row]:
    """Reads a list of ``question_id`` and ``answer``; its folder says which scorer it is of."""
    found = {
        line["question_id"]: float(line["answer"]) for line in json.loads(results[0].read_text())
    }
    wanted = range(len(scored.prompts) * scored.drawn.samples)
    scored.refuse_missing(list(found), wanted, results[0])
    values = [found[number] for number in wanted]
    prompts = np.arange(len(values)) // scored.drawn.samples
    name = results[0].absolute().parent.name.removeprefix("annotation_")
    return [scored.row(f"{name} score", values, prompts, headline=True)]


_READERS: Mapping[str, Callable[[_Scored, Sequence[Path]], list[Row]]] = {
    "geneval": _geneval,
    "geneval2": _geneval2,
    "dpg-bench": _dpg_bench,
    "wise": _wise,
    "t2i-compbench": _t2i_compbench,
}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
