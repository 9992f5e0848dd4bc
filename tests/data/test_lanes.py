import pytest
import torch

from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError


def take(stream, number):
    batches = [next(stream) for _ in range(number)]
    for batch in batches:
        batch.validate()
    return batches


def captions(made, number, broken=()):
    def picture(k):
        return Image(b"broken" if k in broken else made.picture_file(k), target=False)

    return [Document((Text(f"caption: {k}"), picture(k))) for k in range(number)]


def documents_of(made, batches):
    return [
        made.tokenizer.decode(ids[owner == number].tolist())
        for batch in batches
        for ids, owner in zip(batch.ids_BT, batch.document_BT, strict=True)
        for number in range(int(owner.max()) + 1)
    ]


def test_a_broken_picture_takes_its_document_and_nothing_else(made):
    sources = {"pairs": made.Listed("pairs", captions(made, 10, broken={4}))}
    stream = made.stream(sources)
    batches = take(stream, 12)
    given = documents_of(made, batches)
    assert "caption: 4" not in given
    assert {f"caption: {k}" for k in range(10)} - set(given) == {"caption: 4"}
    report = stream.report()
    assert report.skipped["pairs"] > 0
    assert any("pairs[4] skipped" in note and "cannot be decoded" in note for note in report.notes)
    assert report.documents["pairs"] == len(given) + report.skipped["pairs"]
    for batch in batches:
        for row, number in enumerate(batch.document_BT):
            present = sorted(set(number.tolist()) - {-1})
            assert present == list(range(len(present))), f"gaps in row {row}"


def test_counts_are_of_what_was_given_out(made):
    stream = made.stream(made.three_sources())
    batches = take(stream, 20)
    report = stream.report()
    for number, name in enumerate(batches[0].source_names):
        positions = sum(int((batch.source_BT == number).sum()) for batch in batches)
        assert report.positions[name] == positions
    assert report.rows == 40
    assert report.filled == pytest.approx(sum(batch.num_filled for batch in batches) / (40 * 40))
    assert sum(report.documents.values()) == len(documents_of(made, batches))


def test_empty_and_unreadable_documents_are_reported_with_their_reason(made):
    documents = [*made.texts(1, 8), Document(()), made.texts(2, 1)[0]]
    source = made.Listed("text", documents, unreadable=frozenset({9}))
    stream = made.stream({"text": source}, sequence_length=60)
    take(stream, 10)
    notes = " ".join(stream.report().notes)
    assert "text[8] skipped: empty" in notes
    assert "text[9] skipped: no document 9" in notes


def test_split_documents_are_reported_and_whole(made):
    long = Document((Text("story: " + " a door" * 40), Image(made.picture(3), target=True)))
    stream = made.stream({"text": made.Listed("text", [long, *made.texts(1, 4)])}, lanes=1)
    batches = take(stream, 10)
    report = stream.report()
    assert report.split["text"] > 0
    assert any("text[0] longer than a row, split" in note for note in report.notes)
    doors = sum(text.count(" door") for text in documents_of(made, batches))
    assert doors > 40
    assert all(torch.equal(p, torch.tensor(made.picture(3)).permute(2, 0, 1))
               for batch in batches for p in batch.slots["image"].items)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_source_of_which_half_is_empty_is_read(made, seed):
    """Empty documents need no room, so that they stand in the first rows, all of them."""
    documents = [each for text in made.texts(seed, 40) for each in (text, Document(()))]
    stream = made.stream({"text": made.Listed("text", documents)}, rows_packed_together=32)
    take(stream, 30)
    report = stream.report()
    assert report.skipped["text"] / report.documents["text"] == pytest.approx(0.5, abs=0.1)


def test_a_source_of_broken_pictures_is_refused(made):
    sources = {"pairs": made.Listed("pairs", captions(made, 6, broken=set(range(6))))}
    with pytest.raises(UserError, match=r"source 'pairs': .* cannot be used"):
        take(made.stream(sources), 40)


@pytest.mark.slow
def test_a_source_that_starves_raises_the_alarm(made):
    healthy = {
        "pairs": made.Listed("pairs", captions(made, 12)),
        "text": made.Listed("text", made.texts(1, 12)),
    }
    stream = made.stream(healthy)
    take(stream, 100)
    assert stream.report().alarms == ()
    starving = {**healthy, "pairs": made.Listed("pairs", captions(made, 12, broken=set(range(5))))}
    stream = made.stream(starving)
    take(stream, 100)
    alarms = stream.report().alarms
    assert any(alarm.startswith("source 'pairs' has") for alarm in alarms)
