"""What scorers write, read back: means as they print them, errors by prompt, and their source."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.evaluation.rows import Row
from chiasm.harness.drawing import Drawn, prompts_sha256
from chiasm.harness.layouts import layout_of
from chiasm.harness.scores import read_scores
from chiasm.inference.request import SamplingSettings


@pytest.fixture
def drawn_as(prompts_of: Callable[[str], Path]) -> Callable[..., Drawn]:
    """The record of a folder that need not be there: scores are read by it alone."""

    def record(name: str, samples: int, prompts: Path | None = None) -> Drawn:
        path = prompts or prompts_of(name)
        read = layout_of(name).read(path)
        return Drawn(
            benchmark=name,
            layout=layout_of(name).home,
            prompts=str(path),
            prompts_sha256=prompts_sha256(read),
            num_prompts=len(read),
            samples=samples,
            seed=3,
            model="tiny",
            weights_sha256="0",
            sampling=SamplingSettings(),
        )

    return record


def by_name(rows: tuple[Row, ...]) -> dict[str, float]:
    return {row.name: row.value for row in rows}


def geneval_lines(correct: list[list[bool]]) -> list[dict]:
    tags = ("single_object", "colors", "colors")
    return [
        {"filename": f"out/{n:05d}/samples/{s:04d}.png", "tag": tags[n], "correct": right}
        for n, own in enumerate(correct)
        for s, right in enumerate(own)
    ]


def write_lines(path: Path, lines: list[dict]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_geneval_is_the_mean_over_tasks(drawn_as, tmp_path: Path) -> None:
    lines = geneval_lines([[True, True], [True, False], [False, False]])
    path = write_lines(tmp_path / "results.jsonl", lines)
    scores = read_scores(drawn_as("geneval", 2), [path])
    found = by_name(scores.rows)
    assert found == pytest.approx({"mean over tasks": 0.625, "single_object": 1, "colors": 0.25})
    overall, single, colors = scores.rows
    assert (overall.num_items, overall.num_clusters) == (6, 3)
    # Two prompts, of 1 and 0 right of 2: se = sqrt(2 / 1 * (0.5² + 0.5²)) / 4.
    assert colors.standard_error == pytest.approx(math.sqrt(2 * 0.5) / 4)
    assert math.isnan(single.standard_error)
    assert overall.seed == 3
    assert scores.source["scorer"] == "djghosh13/geneval at af4902f"
    assert scores.source["results.jsonl"].startswith("sha256 ")


def test_geneval_has_a_result_of_every_picture_and_of_no_other(drawn_as, tmp_path: Path) -> None:
    lines = geneval_lines([[True, True], [True, False], [False, False]])
    path = write_lines(tmp_path / "results.jsonl", lines[:-1])
    with pytest.raises(UserError, match="1 of 6 pictures have none, such as 00002/samples/0001"):
        read_scores(drawn_as("geneval", 2), [path])
    with pytest.raises(UserError, match="has 6 pictures twice"):
        read_scores(drawn_as("geneval", 2), [write_lines(path, [*lines, *lines])])
    with pytest.raises(UserError, match="3 are of pictures that were not drawn"):
        read_scores(drawn_as("geneval", 1), [write_lines(path, lines)])


def test_geneval2_has_both_means_and_each_skill(drawn_as, tmp_path: Path) -> None:
    path = tmp_path / "score_lists.json"
    path.write_text("[[0.25, 1.0], [0.5]]")
    found = by_name(read_scores(drawn_as("geneval2", 1), [path]).rows)
    assert found == pytest.approx(
        {
            "Soft-TIFA, geometric mean": 0.5,
            "Soft-TIFA, arithmetic mean": (0.625 + 0.5) / 2,
            "attribute": 0.25,
            "object": 1.0,
            "count": 0.5,
        }
    )
    path.write_text("[[0.0, 0.3], [0.5]]")
    assert by_name(read_scores(drawn_as("geneval2", 1), [path]).rows)[
        "Soft-TIFA, geometric mean"
    ] == pytest.approx(0.25)
    path.write_text("[[0, 1], [1]]")
    assert by_name(read_scores(drawn_as("geneval2", 1), [path]).rows)["TIFA"] == 0.75
    path.write_text("[[0.5], [0.7]]")
    assert by_name(read_scores(drawn_as("geneval2", 1), [path]).rows)["VQAScore"] == 0.6
    path.write_text("[[0.5, 0.5]]")
    with pytest.raises(UserError, match="1 lists of scores, and 2 prompts were drawn"):
        read_scores(drawn_as("geneval2", 1), [path])


DPG = """\
/some, where/0.png, 1.0, 0.5, 0.0, 0.5, 0.5
/some, where/whoops5.png, 1.0, 1.0, 1.0, 1.0, 1.0
Model: where
L1 category scores:
\tentity: 81.25
Image path: /some, where
DPG-Bench score: 75.0
"""


def test_dpg_bench_is_the_mean_over_pictures(drawn_as, tmp_path: Path) -> None:
    path = tmp_path / "results.txt"
    path.write_text(DPG)
    [row] = read_scores(drawn_as("dpg-bench", 4), [path]).rows
    assert (row.name, row.value, row.num_items) == ("DPG-Bench score", 0.75, 2)
    path.write_text(DPG.replace("/some, where/0.png", "Failed filename: 0.png"))
    with pytest.raises(UserError, match=r"1 of 2 pictures have none.*not drawn, such as 0;"):
        read_scores(drawn_as("dpg-bench", 4), [path])
    path.write_text("\n".join(DPG.splitlines()[1:]))
    with pytest.raises(UserError, match="1 of 2 pictures have none, such as 0"):
        read_scores(drawn_as("dpg-bench", 4), [path])


def test_wise_is_read_by_number_and_by_the_version_of_its_scores(drawn_as, tmp_path: Path) -> None:
    lines = [{"prompt_id": n, "score": score} for n, score in ((7, 1), (520, 0), (641, 1))]
    path = write_lines(tmp_path / "one.jsonl", lines[:2])
    more = write_lines(tmp_path / "more.jsonl", lines[2:])
    scores = read_scores(drawn_as("wise", 1), [path, more])
    expected = {"WISE_Verified": 2 / 3, "culture": 1, "time": 0, "biology": 1}
    assert by_name(scores.rows) == pytest.approx(expected)
    assert set(scores.source) == {"scorer", "one.jsonl", "more.jsonl"}
    of_paper = [
        {"prompt_id": n, "consistency": 2, "realism": 1, "aesthetic_quality": 0}
        for n in (7, 520, 641)
    ]
    found = by_name(read_scores(drawn_as("wise", 1), [write_lines(path, of_paper)]).rows)
    expected = {"WISE, as in the paper": 0.8, "culture": 0.8, "time": 0.8, "space": 0.8}
    assert found == pytest.approx(expected)
    with pytest.raises(UserError, match="2 of 3 pictures have none"):
        read_scores(drawn_as("wise", 1), [more])


def test_t2i_compbench_names_its_scorer_by_the_folder(drawn_as, tmp_path: Path) -> None:
    path = tmp_path / "annotation_blip" / "vqa_result.json"
    path.parent.mkdir()
    lines = [{"question_id": n, "answer": f"{n / 10:.4f}"} for n in range(4)]
    path.write_text(json.dumps(lines))
    [row] = read_scores(drawn_as("t2i-compbench", 2), [path]).rows
    assert (row.name, row.num_items, row.num_clusters) == ("blip score", 4, 2)
    assert row.value == pytest.approx(0.15)
    path.write_text(json.dumps(lines[1:]))
    with pytest.raises(UserError, match="1 of 4 pictures have none, such as 0"):
        read_scores(drawn_as("t2i-compbench", 2), [path])


@pytest.mark.parametrize("content", ["not json", "[1, 2]", '{"a": 1}', ""])
@pytest.mark.parametrize("name", ["geneval", "geneval2", "wise", "t2i-compbench"])
def test_other_files_are_told(drawn_as, tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / "results"
    path.write_text(content)
    with pytest.raises(UserError, match="results"):
        read_scores(drawn_as(name, 1), [path])
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(drawn_as(name, 1), [tmp_path / "missing"])


def test_scores_are_of_the_prompts_that_were_drawn(drawn_as, tmp_path: Path) -> None:
    prompts = tmp_path / "color.txt"
    prompts.write_text("a red cup\n")
    drawn = drawn_as("t2i-compbench", 1, prompts)
    prompts.write_text("a blue cup\n")
    with pytest.raises(UserError, match="other prompts than were drawn"):
        read_scores(drawn, [tmp_path / "results.json"])
