import json

import pytest
from pydantic import ValidationError

from chiasm.data.kinds import TextSettings
from chiasm.data.media import MEDIA
from chiasm.data.settings import StreamSettings
from chiasm.data.source import SOURCES, Opened, SourceFacts, leaks
from chiasm.errors import UserError
from chiasm.recipe import parse_recipe

FACTS = SourceFacts("image_text", rows=1200, documents=2390, held_out=120)


def test_the_line_for_the_terminal_says_what_was_found():
    facts = SourceFacts(
        "image_text",
        rows=1200,
        documents=2390,
        held_out=120,
        files=("metadata.jsonl",),
        column="caption",
        image_column="file_name",
        skipped={"no caption": 3, "picture file missing": 2},
        repeated=1,
        notes=("left: more.csv",),
    )
    assert facts.line("mine") == (
        "mine: 1,200 rows in metadata.jsonl, pictures from 'file_name', words from 'caption' -> "
        "2,390 documents, 120 of them held out; rows skipped: no caption: 3, picture file missing: "
        "2; left: more.csv; 1 documents on both sides are not trained on"
    )
    assert FACTS.line("mine") == "mine: 1,200 rows -> 2,390 documents, 120 of them held out"
    world = SourceFacts("world", rows=9, documents=9, held_out=1, origin="the embedded world")
    assert world.line("mine") == "mine: 9 documents of the embedded world, 1 of them held out"


@pytest.mark.parametrize("medium", MEDIA)
def test_columns_of_files_are_told_by_their_medium(medium):
    facts = FACTS.with_files(medium, "file_name")
    assert facts.files_columns == {medium.nouns: "file_name"}
    assert f"rows, {medium.nouns} from 'file_name' ->" in facts.line("mine")


def test_the_summary_is_json_with_the_first_files_alone():
    facts = SourceFacts("text", 1, 1, 0, files=tuple(f"{k}.txt" for k in range(30)))
    summary = json.loads(json.dumps(facts.summary()))
    assert summary["files"] == [*(f"{k}.txt" for k in range(20)), "..."]
    assert "in 30 files" in facts.line("mine")
    assert FACTS.summary()["files"] == []


def test_both_sides_are_asked_for_by_name(made):
    train, held_out = made.Listed("train", []), made.Listed("held_out", [])
    opened = Opened(train, held_out, FACTS)
    assert opened.side("train") is train
    assert opened.side("held_out") is held_out


@pytest.mark.parametrize(
    "wrong", [{"kind": "sound"}, {"weight": 0}, {"held_out_fraction": 1}, {"colum": "x"}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        StreamSettings.model_validate({"sources": {"mine": {"kind": "text", **wrong}}})


def of_files(path="here", kind="image_text", **settings):
    return SOURCES.of(kind).model_validate({"path": path, **settings})


@pytest.mark.parametrize(
    ("measured", "setting"),
    [
        (of_files(held_out_fraction=0.2), "held_out_fraction"),
        (of_files("./here", held_out_fraction=0.2), "held_out_fraction"),
        (of_files(kind="vqa", held_out_fraction=0.2), "held_out_fraction"),  # the same pictures
        (of_files(group_column="scene"), "group_column"),
        (of_files(), ""),
        (of_files(held_out_fraction=0.01), ""),  # a part of what was held out
        (of_files("there", held_out_fraction=0.2), ""),
        (of_files(held_out_fraction=0.2, held_out_path="there"), ""),
        (of_files(kind="text", held_out_fraction=0.2), ""),  # by other hashes
        (SOURCES.of("world").model_validate({"task": "text"}), ""),
    ],
)
def test_sources_that_hold_out_what_others_train_on_are_told(measured, setting):
    found = leaks({"pairs": of_files()}, {"mine": measured})
    assert [error.setting for error in found] == ([f"mine.{setting}"] if setting else [])
    assert all("stream.sources.pairs reads" in str(error) for error in found)


def test_texts_cut_otherwise_are_held_out_otherwise():
    one, other = (TextSettings(path="here", document_characters=n) for n in (100, 200))
    [error] = leaks({"a": one}, {"b": other})
    assert (error.setting, error.value) == ("b.document_characters", 200)


def test_a_recipe_whose_sources_leak_into_each_other_is_refused():
    sources = {"a": of_files(), "b": of_files(kind="vqa", held_out_fraction=0.3)}
    content = {
        n: {"kind": s.kind, **s.model_dump(exclude_defaults=True)} for n, s in sources.items()
    }
    with pytest.raises(UserError, match=r"stream\.sources\.b\.held_out_fraction = 0\.3"):
        parse_recipe({"name": "leak", "stream": {"sources": content}})
