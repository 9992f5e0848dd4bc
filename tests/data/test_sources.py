import hashlib
import json
import os
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch

import chiasm.providers  # noqa: F401  (registers kind world)
from chiasm.data.drawing import row_spans
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.kinds import ImageTextSettings
from chiasm.data.mixture import Lane, Mixture
from chiasm.data.reading import LostError
from chiasm.data.settings import StreamSettings
from chiasm.data.source import Opening
from chiasm.data.sources import open_sources, sample_texts
from chiasm.data.stream import Stream
from chiasm.documents import Split
from chiasm.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def pairs_folder(tmp_path, made):
    folder = tmp_path / "pairs"
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(60):
        name = f"images/{number}.png"
        (folder / name).write_bytes(made.picture_file(number // 2, (12, 10)))  # each twice
        rows.append({"image": name, "caption": f"picture {number}", "tags": ["a", "b"]})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines)
    return folder


def both_splits(settings, sequence_length=40):
    opened = opened_from({"mine": settings}, sequence_length)["mine"]
    return [opened.side(split) for split in Split]


def opened_from(content, sequence_length=40):
    """Sources given as tables of a recipe."""
    settings = StreamSettings.model_validate({"sources": content}).sources
    return open_sources(settings, Opening(sequence_length))


def pictures(source):
    return {
        image.data.read_bytes() for index in range(len(source)) for image in source[index].images
    }


def test_no_picture_is_on_both_sides(pairs_folder):
    train, held_out = both_splits(
        {"kind": "image_text", "path": str(pairs_folder), "held_out_fraction": 0.3}
    )
    assert len(train) + len(held_out) == 120
    assert not pictures(train) & pictures(held_out)
    assert len(pictures(train) | pictures(held_out)) == 30
    assert 12 <= len(held_out) <= 60


def test_no_text_is_on_both_sides(tmp_path):
    (tmp_path / "book.txt").write_text("\n\n".join(f"paragraph {k % 40}" * 3 for k in range(200)))
    train, held_out = both_splits(
        {"kind": "text", "path": str(tmp_path), "document_characters": 45, "held_out_fraction": 0.2}
    )
    texts = [{source[k].text.strip() for k in range(len(source))} for source in (train, held_out)]
    assert not texts[0] & texts[1]
    assert all(texts)


def test_text_documents_fit_the_row_unless_told_otherwise(tmp_path):
    (tmp_path / "book.txt").write_text(" ".join(f"{k} words." for k in range(400)))
    train, _ = both_splits({"kind": "text", "path": str(tmp_path)}, sequence_length=50)
    assert 50 < max(len(train[k].text) for k in range(len(train))) <= 100


def test_a_folder_streams_without_code(pairs_folder, made):
    settings = StreamSettings.model_validate(
        {
            "sources": {"pairs": {"kind": "image_text", "path": str(pairs_folder)}},
            "sequence_length": 40,
        }
    )
    sources = {"pairs": open_sources(settings.sources, Opening(40))["pairs"].train}
    batch = next(Stream(settings, sources, made.tokenizer, made.reader, seed=0))
    batch.validate()
    pictures = batch.slots["image"].items
    assert pictures
    assert {tuple(pixels.shape) for pixels in pictures} == {(3, 8, 8)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "text"}, r"stream\.sources\.mine\.path is missing"),
        ({"kind": "image_text", "path": "PAIRS", "text_column": "words"}, "image, caption, tags"),
        ({"kind": "vqa", "path": "PAIRS"}, r"question_column = 'question'.*image, caption, tags"),
        ({"kind": "world", "task": "dance"}, "'dance' is no task of kind 'world'.*action_video"),
        ({"kind": "text", "path": "PAIRS/images/none"}, "no such file or folder"),
        (
            {"kind": "image_text", "path": "PAIRS", "held_out_fraction": 0.9999},
            r"stream\.sources\.mine\.held_out_fraction = 0.9999 leaves nothing .* hold 30",
        ),
    ],
)
def test_mistakes_name_their_setting(settings, message, pairs_folder):
    if "path" in settings:
        settings = {**settings, "path": settings["path"].replace("PAIRS", str(pairs_folder))}
    with pytest.raises(UserError, match=message):
        opened_from({"mine": settings})


def test_texts_without_a_word_are_counted(tmp_path):
    for name, text in (("a", ""), ("b", " \n"), ("c", "")):
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(UserError, match=r"stream\.sources\.mine\.path: 3 of 3 rows .*no text: 3"):
        both_splits({"kind": "text", "path": str(tmp_path)})
    (tmp_path / "rows.jsonl").write_text('{"text": ""}\n' * 2)
    with pytest.raises(UserError, match="2 of 2 rows cannot be used"):
        both_splits({"kind": "text", "path": str(tmp_path / "rows.jsonl")})


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("image_text", '{"file_name": "barn.jpg", "text": '),
        ("vqa", '"question": "is it a barn?", "answer": '),
    ],
)
def test_pictures_without_captions_say_how_to_write_them(kind, line, tmp_path, made):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(made.picture_file(number))
    message = f"no captions were found; write metadata.jsonl .*{re.escape(line)}"
    with pytest.raises(UserError, match=message):
        both_splits({"kind": kind, "path": str(tmp_path)})


@pytest.fixture
def captioned(tmp_path, made):
    """Six pictures with three captions each, and one with a single one."""
    rows = [{"image": f"{k}.png", "text": [f"{k} {n}" for n in range(3)]} for k in range(6)]
    rows.append({"image": "6.png", "text": "6 0"})
    made.files(tmp_path, {f"{k}.png": made.picture_file(k) for k in range(7)})
    made.files(tmp_path, {"metadata.jsonl": made.json_lines(rows)})
    held_out = {"image": "7.png", "text": "held out"}
    made.files(tmp_path / "other", {"7.png": made.picture_file(7)})
    made.files(tmp_path / "other", {"metadata.jsonl": made.json_lines([held_out])})
    settings = {"path": str(tmp_path), "held_out_path": str(tmp_path / "other")}
    return {"pairs": ImageTextSettings.model_validate(settings)}


def captioned_stream(named, made, seed=3, **settings):
    small = {"sources": named, "sequence_length": 24, "batch_size": 2, "lanes": 2}
    merged = StreamSettings.model_validate({**small, **settings})
    sources = {name: each.train for name, each in open_sources(named, Opening(24)).items()}
    return Stream(merged, sources, made.tokenizer, made.reader, seed=seed)


def said(batch, made):
    """The texts of a batch's documents."""
    spans = [
        span for row in range(batch.num_rows) for span in row_spans(batch, row, made.tokenizer)
    ]
    return [span.text.strip() for span in spans if span.role == "text" and span.text.strip()]


def test_all_captions_of_a_list_are_read_over_the_epochs(captioned, made):
    stream = captioned_stream(captioned, made)
    texts = Counter(text for _ in range(60) for text in said(next(stream), made))
    counts = {
        form: [texts[f"{form}: {k} {n}"] for k in range(6) for n in range(3)]
        for form in ("caption", "picture")
    }
    for own in counts.values():  # each caption is one of three, in each epoch another
        assert min(own) >= 2
        assert max(own) - min(own) <= 2
        assert sum(own) / texts.total() == pytest.approx(6 / 14, abs=0.03)
    assert len(texts) == 2 * (6 * 3 + 1)


def test_the_turns_of_captions_are_the_seed_s_and_restore_exactly(captioned, made):
    stream = captioned_stream(captioned, made)
    states, batches = [], []
    for _ in range(24):
        states.append(json.dumps(stream.get_state()))
        batches.append(next(stream))
    assert len({text for batch in batches for text in said(batch, made)}) > 30
    other = captioned_stream(captioned, made)
    for place in (20, 3, 11):
        other.set_state(json.loads(states[place]))
        for later in batches[place : place + 3]:
            again = next(other)
            assert torch.equal(again.ids_BT, later.ids_BT)
            assert all(map(torch.equal, *(each.slots["image"].items for each in (again, later))))

    def first_turns(seed):
        encoder = DocumentEncoder(made.tokenizer, made.reader, 24)
        sources = {"pairs": open_sources(captioned, Opening(24))["pairs"].train}
        drawn = islice(Mixture(sources, {"pairs": 1.0}, encoder, Lane(0, 1), seed), 3)
        return [element.document[3] % 3 for element in drawn]

    assert first_turns(3) == first_turns(3)
    assert {tuple(first_turns(seed)) for seed in range(8)} == {(0, 0, 0), (1, 1, 1), (2, 2, 2)}


def test_pictures_that_vanish_or_shrink_while_training_are_skipped_and_counted(
    captioned, made, tmp_path
):
    stream = captioned_stream(captioned, made)
    next(stream)
    (tmp_path / "2.png").unlink()
    os.truncate(tmp_path / "3.png", 60)
    for _ in range(40):
        batch = next(stream)
        batch.validate()
    report = stream.report()
    assert report.skipped["pairs"] > 10  # how many depends on what was read ahead
    notes = " ".join(report.notes)
    assert "2.png does not exist" in notes
    assert "3.png cannot be decoded" in notes
    assert report.broken["pairs"] == report.skipped["pairs"] < report.documents["pairs"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_of_rows_that_is_lost_while_training_is_an_end(gone, captioned, made, tmp_path):
    stream = captioned_stream(captioned, made)
    next(stream)
    file = tmp_path / "metadata.jsonl"
    if gone:
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size - 20)
    why = "cannot be read: No such file" if gone else "has become shorter since it was opened"
    with pytest.raises(LostError, match=rf"^pairs\[\d+\]: .*metadata\.jsonl {why}"):
        list(islice(stream, 40))


def test_sample_texts_reads_every_source_alike(made):
    sources = {
        "long": made.Listed("long", made.texts(1, 50)),
        "short": made.Listed("short", made.texts(2, 3)),
    }
    texts = list(sample_texts(sources, 800))
    longest = max(map(len, texts))
    read = sources["long"].read
    assert len(read) == len(set(read))
    assert max(read) - min(read) > 25  # from all over the source
    from_long = sum(len(text) for text in texts[: len(read)])
    assert 400 <= from_long <= 400 + longest
    assert sorted(sources["short"].read) == [0, 1, 2]


@pytest.mark.parametrize(
    ("path", "kind", "documents", "digest"),
    [
        ("image_text/noto_emoji", "image_text", 6390, "b48c338f941a87ac"),
        ("image_text/tuxpaint_stamps", "image_text", 1540, "6248b813d6714bab"),
        ("vqa/easy_vqa_train", "vqa", 14432, "3266317a945c3993"),
        ("vqa/nlvr_dev", "vqa", 1978, "b5467196fb07124a"),
        ("text", "text", 12309, "5fc4d0f9faaf691d"),
    ],
)
def test_real_folders_give_the_documents_that_they_always_gave(path, kind, documents, digest, made):
    """Counts and digests of e3280df, which read these folders through a general loader."""
    if not (SHARED / path).exists():
        pytest.skip("the real data of the trials is not beside this checkout")
    settings = StreamSettings.model_validate(
        {"sources": {"real": {"kind": kind, "path": str(SHARED / path)}}, "sequence_length": 256}
    )
    opened = open_sources(settings.sources, Opening(256))["real"]
    sides = (opened.train, opened.held_out)
    found = sorted(_digest(side[index]) for side in sides for index in range(len(side)))
    assert (len(found), opened.facts.documents, opened.facts.skipped) == (documents, documents, {})
    stream = Stream(settings, {"real": opened.train}, made.tokenizer, made.reader, seed=0)
    for _ in range(3):
        next(stream).validate()
    assert stream.report().skipped == {"real": 0}
    assert hashlib.sha256("".join(found).encode()).hexdigest()[:16] == digest


def _digest(document):
    """Of its words, of the names of its pictures below the shared folder, and of their parts."""
    digest = hashlib.sha256(document.text.encode())
    for image in document.images:
        digest.update(f"{image.target}{image.data.relative_to(SHARED)}".encode())
    return digest.hexdigest()
