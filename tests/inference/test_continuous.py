"""Requests that join and leave a batch: each gives what it gives alone."""

from collections.abc import Callable

import numpy as np
import pytest

from chiasm.batch.streams import IMAGE
from chiasm.documents import Continuous, Image, Span, Text
from chiasm.inference.continuous import ContinuousBatch, Sketched
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Ended, Event, Generated, Request, SamplingSettings, TextWritten
from chiasm.inference.sampler import Sampler

Asked = tuple[Request, SamplingSettings]


class Run:
    """A batch and all that it told."""

    def __init__(self, pretrained: Pretrained, rows: int = 4) -> None:
        self.told: list[Event | Sketched] = []
        self.batch = ContinuousBatch(pretrained, rows, self.told.append)
        self._sampler = Sampler(pretrained)

    def join(self, number: int, asked: Asked, *, watched: bool = False):
        request, settings = asked
        [prompt] = self._sampler.prompts([request], settings)
        return self.batch.join(number, request, settings, prompt, watched=watched)

    def finish(self) -> None:
        while not self.batch.is_empty:
            self.batch.step()


def same(spans: list[Span], expected: list[Span]) -> None:
    """Equal texts, and items that differ by rounding alone."""
    assert [type(span) for span in spans] == [type(span) for span in expected]
    for span, other in zip(spans, expected, strict=True):
        if isinstance(span, Text):
            assert span == other
        elif isinstance(span, Image):
            assert abs(span.pixels().astype(int) - other.pixels()).max() <= 1
        else:
            np.testing.assert_allclose(span.data, other.data, atol=1e-4)


def all_kinds(picture: Image) -> list[Asked]:
    """Requests that differ in all that a request may differ in."""
    drawn = (Text("a red square"),)
    return [
        (Request((Text("the door"),), 1), SamplingSettings(max_tokens=12, max_items=0)),
        (Request(drawn, 2, opens=True), SamplingSettings(max_tokens=0, steps=5)),
        (Request(drawn, 3, opens=True), SamplingSettings(max_tokens=0, steps=3, guidance=1)),
        (
            Request((picture, Text("what?")), 4),
            SamplingSettings(temperature=0.5, top_k=20, max_tokens=9, max_items=0),
        ),
        (
            Request((picture, Text("then")), 5, opens=True),
            SamplingSettings(max_tokens=7, max_items=2, solver="heun", steps=4, guidance=2),
        ),
        (
            Request((picture,), 6, script=("ahead", "to the left"), imagined=True),
            SamplingSettings(max_items=2, max_tokens=0, steps=3, history_noise=0.2),
        ),
        (Request((), 7), SamplingSettings(max_tokens=5, temperature=0)),
    ]


@pytest.mark.parametrize("apart", [0, 1, 3])
def test_each_gives_what_it_gives_alone(pretrained: Pretrained, picture: Image, apart: int) -> None:
    """However many steps lie between them, in fewer rows than there are requests."""
    asked = all_kinds(picture)
    run, made, waiting = Run(pretrained), [], list(enumerate(asked))
    while waiting or not run.batch.is_empty:
        if waiting and run.batch.free:
            made.append(run.join(*waiting.pop(0)))
            for _ in range(apart):
                run.batch.step()
        else:
            run.batch.step()
    assert run.batch.free == 4
    for (request, settings), found in zip(asked, made, strict=True):
        [expected] = Sampler(pretrained).generate([request], settings)
        same(found.spans, expected)


def test_streams_of_several_shapes_are_solved_side_by_side(
    with_series: Pretrained, make_series: Callable[[int], Continuous]
) -> None:
    asked = [
        (
            Request((make_series(n), Text("go")), n, opens=True, stream=stream),
            SamplingSettings(max_tokens=3, max_items=2, steps=4),
        )
        for n, stream in enumerate(["series", IMAGE, "series", IMAGE])
    ]
    run = Run(with_series)
    made = [run.join(n, each) for n, each in enumerate(asked)]
    run.finish()
    for (request, settings), found in zip(asked, made, strict=True):
        [expected] = Sampler(with_series).generate([request], settings)
        same(found.spans, expected)


def test_the_model_opens_items_itself(
    build: Callable[..., Pretrained], prefer: Callable[[Pretrained, int, float], None]
) -> None:
    pretrained = build(seed=5)
    prefer(pretrained, pretrained.text_tokenizer.marks[IMAGE].begin, 1.0)
    asked = Request((Text("a"),), 3), SamplingSettings(max_tokens=20, max_items=3, steps=2)
    run = Run(pretrained)
    made = [run.join(n, asked) for n in range(2)]
    run.finish()
    [expected] = Sampler(pretrained).generate([asked[0]], asked[1])
    assert any(isinstance(span, Image) for span in expected)
    for each in made:
        same(each.spans, expected)


def test_text_waits_for_one_piece_of_the_work_of_drawing(pretrained: Pretrained) -> None:
    """Whatever is due for those that draw, each step writes a token of each that writes."""
    run = Run(pretrained)
    writes = Request((Text("the"),), 0), SamplingSettings(max_tokens=60, max_items=0)
    draws = Request((Text("a"),), 1, opens=True), SamplingSettings(max_tokens=0, steps=6)
    writer = run.join(0, writes)
    while writer.draw() == Run(pretrained).join(0, writes).draw():  # its prompt is read
        run.batch.step()
    for number in (1, 2):
        run.join(number, draws)
    velocities = 0
    while not writer.ended and not run.batch.is_empty:
        before = writer.draw()
        run.batch.step()
        velocities += 1
        assert writer.ended or writer.draw() != before
    run.finish()
    assert velocities > 3


def test_who_leaves_changes_nothing_for_others(pretrained: Pretrained, picture: Image) -> None:
    asked = all_kinds(picture)
    for steps in range(1, 12, 2):
        run = Run(pretrained)
        made = [run.join(number, each) for number, each in enumerate(asked[1:5])]
        for _ in range(steps):
            run.batch.step()
        run.batch.leave(0)
        run.batch.leave(2)
        later = run.join(9, asked[0])
        told = len(run.told)
        run.finish()
        assert {event.request for event in run.told[told:]} <= {1, 3, 9}
        for place, found in ((2, made[1]), (4, made[3]), (0, later)):
            [expected] = Sampler(pretrained).generate([asked[place][0]], asked[place][1])
            same(found.spans, expected)


def test_items_that_are_watched_are_told_on_their_way(pretrained: Pretrained) -> None:
    draws = Request((Text("a"),), 1, opens=True), SamplingSettings(max_tokens=0, steps=12)
    run = Run(pretrained)
    run.join(0, draws, watched=True)
    run.join(1, draws)
    run.finish()
    sketches = [event for event in run.told if isinstance(event, Sketched)]
    assert {event.request for event in sketches} == {0}
    assert {event.step for event in sketches} == set(range(1, 12))
    seen = [event.item for event in sketches if event.item is not None]
    [last] = [e.item for e in run.told if isinstance(e, Generated) and e.request == 0]
    distances = [abs(item.pixels().astype(int) - last.pixels()).mean() for item in seen]
    assert len(seen) == 5
    assert distances[-1] < distances[0]


def test_events_join_to_what_was_made(pretrained: Pretrained) -> None:
    asked = Request((Text("the"),), 0), SamplingSettings(max_tokens=30, max_items=0)
    run = Run(pretrained)
    made = run.join(5, asked)
    run.finish()
    text = "".join(event.text for event in run.told if isinstance(event, TextWritten))
    assert [Text(text)] == made.spans
    assert isinstance(run.told[-1], Ended)
    assert run.told[-1].request == 5
