import json

import pytest
import torch

from chiasm.batch.packed import NO_LABEL
from chiasm.data.kinds import QuestionSettings, TextSettings
from chiasm.data.settings import StreamSettings
from chiasm.data.stream import Stream
from chiasm.documents import Document, Image, Text, question_spans
from chiasm.errors import UserError

ROWS = ("label", "modality", "position", "first", "last", "document", "source")
TABLES = ["ids_BT", *(f"{name}_BT" for name in ROWS), "lane_B", "number_B"]
SLOTS = ["row_N", "start_N", "grid_NA", "target_N", "dropped_N", "source_N"]


def same(one, two):
    return (
        all(torch.equal(getattr(one, name), getattr(two, name)) for name in TABLES)
        and one.slots.keys() == two.slots.keys()
        and all(same_slots(one.slots[name], two.slots[name]) for name in one.slots)
    )


def same_slots(one, two):
    return (
        all(torch.equal(getattr(one, name), getattr(two, name)) for name in SLOTS)
        and len(one.items) == len(two.items)
        and all(map(torch.equal, one.items, two.items))
    )


def troubled_sources(made):
    """With documents that are long, empty, unreadable or broken, and more than one epoch."""
    sources = made.three_sources()
    sources["text"].documents[2] = Document((Text("story: " + " a door" * 40),))
    sources["text"].documents[3] = Document(())
    sources["image_text"].documents[5] = Document((Image(b"broken", target=True), Text("x")))
    sources["video"].unreadable = frozenset({4})
    return sources


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 3])
def test_the_state_restores_exactly_at_every_position(made, lanes):
    stream = made.stream(troubled_sources(made), lanes=lanes)
    states, batches, reports = [], [], []
    for _ in range(30):
        states.append(json.dumps(stream.get_state()))
        batches.append(next(stream))
        reports.append(stream.report())
    other = made.stream(troubled_sources(made), lanes=lanes)
    for place in reversed(range(29)):
        other.set_state(json.loads(states[place]))
        assert json.dumps(other.get_state()) == states[place]
        for later in (place, place + 1):
            assert same(next(other), batches[later])
        assert other.report() == reports[place + 1]


def test_the_state_is_small_and_does_not_grow(made):
    stream = made.stream(made.three_sources())
    sizes = []
    for _ in range(60):
        next(stream)
        sizes.append(len(json.dumps(stream.get_state())))
    assert max(sizes) < 3000
    assert sizes[-1] < sizes[0] + 200  # counters gain digits, nothing else


def prefetching(batches, made, monkeypatch):
    monkeypatch.setattr("chiasm.data.stream.PREFETCHED_BATCHES", batches)
    return made.stream(troubled_sources(made))


def test_prefetching_changes_nothing(made, monkeypatch):
    one, many = (prefetching(ready, made, monkeypatch) for ready in (1, 9))
    for _ in range(20):
        assert same(next(one), next(many))
        assert one.get_state() == many.get_state()


def test_another_seed_is_another_stream(made):
    one, two = (made.stream(made.three_sources(), seed=seed) for seed in (1, 2))
    assert not same(next(one), next(two))


def merged(ranks):
    """The state of a whole stream, for any other number of ranks."""
    states = [rank.get_state() for rank in ranks]
    lanes = {lane: state for rank in states for lane, state in rank["lanes"].items()}
    return {"batches_given": states[0]["batches_given"], "lanes": lanes}


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_ranks_see_the_same_global_batches(made, num_ranks):
    shape = {"lanes": 4, "batch_size": 4}
    whole = made.stream(made.three_sources(), **shape)
    ranks = [
        made.stream(made.three_sources(), **shape, rank=rank, num_ranks=num_ranks)
        for rank in range(num_ranks)
    ]
    for _ in range(12):
        expected = next(whole)
        parts = [next(rank) for rank in ranks]
        for row in range(4):
            part, at = parts[row % num_ranks], row // num_ranks
            for name in TABLES:
                assert torch.equal(getattr(part, name)[at], getattr(expected, name)[row]), name
    assert merged(ranks) == whole.get_state()


def test_a_run_goes_on_with_another_number_of_ranks(made):
    shape = {"lanes": 4, "batch_size": 8}
    whole = made.stream(made.three_sources(), **shape)
    pair = [made.stream(made.three_sources(), **shape, rank=r, num_ranks=2) for r in range(2)]
    for stream in (whole, *pair):
        for _ in range(7):
            next(stream)
    state = json.loads(json.dumps(merged(pair)))
    alone = made.stream(made.three_sources(), **shape)
    alone.set_state(state)
    expected = next(whole)
    assert same(next(alone), expected)
    four = [made.stream(made.three_sources(), **shape, rank=r, num_ranks=4) for r in range(4)]
    for rank, stream in enumerate(four):
        stream.set_state(state)
        assert torch.equal(next(stream).ids_BT, expected.ids_BT[rank::4])


@pytest.mark.parametrize(("lanes", "rows"), [(1, 3), (3, 2), (4, 6)])
def test_rows_come_from_the_lanes_in_turn(made, lanes, rows):
    stream = made.stream(made.three_sources(), lanes=lanes, batch_size=rows)
    batches = [next(stream) for _ in range(6)]
    given = [
        pair for b in batches for pair in zip(b.lane_B.tolist(), b.number_B.tolist(), strict=True)
    ]
    assert given == [(row % lanes, row // lanes) for row in range(6 * rows)]


def test_shares_follow_the_weights_by_positions(made):
    weights = {"text": 1.0, "image_text": 2.0, "video": 5.0}
    stream = made.stream(made.three_sources(), weights=weights)
    for _ in range(150):
        next(stream)
    report = stream.report()
    assert report.weights == {"text": 0.125, "image_text": 0.25, "video": 0.625}
    for name, weight in report.weights.items():
        assert report.shares[name] == pytest.approx(weight, abs=0.02)
    assert report.alarms == ()
    assert report.filled > 0.8


def test_a_row_shorter_than_one_image_is_refused_at_once(made):
    with pytest.raises(UserError, match=r"stream\.sequence_length = 6 is shorter than one item"):
        made.stream(made.three_sources(), sequence_length=6)


def test_a_source_without_documents_is_refused_at_once(made):
    with pytest.raises(UserError, match="'empty' has no documents"):
        made.stream({"empty": made.Listed("empty", [])})


def test_no_sources_are_refused_at_once(made):
    with pytest.raises(UserError, match="sources is empty"):
        made.stream({})


@pytest.mark.parametrize("shape", [{"lanes": 3}, {"batch_size": 3, "lanes": 4}])
def test_ranks_that_do_not_divide_are_refused_at_once(made, shape):
    with pytest.raises(UserError, match="= 3 cannot be shared by 2 ranks"):
        made.stream(made.three_sources(), **shape, num_ranks=2)


def test_settings_refuse_what_makes_no_sense():
    for wrong in ({"condition_dropout": 1.0}, {"lanes": 0}, {"row_position": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            StreamSettings.model_validate({"sources": {}, **wrong})


def test_a_closed_stream_leaves_no_thread(made):
    import threading

    before = threading.active_count()
    stream = made.stream(made.three_sources())
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before


def asked_stream(made, loss):
    """Questions beside texts; the documents of both are packed into common rows."""
    questions = [
        Document((Image(made.picture(n), target=False), *question_spans(f"door {n}?", f"yes {n}")))
        for n in range(9)
    ]
    sources = {"asked": made.Listed("asked", questions), "text": made.three_sources()["text"]}
    settings = StreamSettings(
        sources={"asked": QuestionSettings(loss=loss), "text": TextSettings()},
        sequence_length=80,
        batch_size=2,
        lanes=2,
        rows_packed_together=3,
    )
    return Stream(settings, sources, made.tokenizer, made.reader, 3)


def test_with_a_loss_on_answers_nothing_but_labels_of_prompts_is_left_out(made):
    whole, answers = (asked_stream(made, loss) for loss in ("all", "answers"))
    seen = set()
    for _ in range(6):
        one, other = next(whole), next(answers)
        for name in TABLES:
            if name != "label_BT":
                assert torch.equal(getattr(one, name), getattr(other, name)), name
        kept = other.label_BT != NO_LABEL
        assert torch.equal(one.label_BT[kept], other.label_BT[kept])
        for row, (labels, sources) in enumerate(zip(other.label_BT, other.source_BT, strict=True)):
            texts = sources == 1
            assert torch.equal(labels[texts], one.label_BT[row][texts]), "texts are learned whole"
            for document in other.document_BT[row].unique():
                own = (other.document_BT[row] == document) & (sources == 0) & kept[row]
                if own.any():
                    ids = labels[own].tolist()
                    assert ids[-1] == made.tokenizer.eod_id
                    seen.add(made.tokenizer.decode(ids[:-1]))
    assert len(seen) > 3
    assert seen <= {f" yes {n}\n" for n in range(9)}


def test_a_stream_on_answers_goes_on_exactly(made):
    whole, stopped = asked_stream(made, "answers"), asked_stream(made, "answers")
    batches = [next(whole) for _ in range(8)]
    for _ in range(3):
        next(stopped)
    resumed = asked_stream(made, "answers")
    resumed.set_state(json.loads(json.dumps(stopped.get_state())))
    assert all(same(next(resumed), batch) for batch in batches[3:])
