"""The queue before the model: places, cancelling, failures."""

import threading

import pytest

from chiasm.demo.engine import ENDED, MOST_WAITING, Begun, Engine, Failed, Job, Over, Waits
from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.inference.continuous import ContinuousBatch
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Ended, Request, SamplingSettings
from chiasm.inference.sampler import Sampler

LONG = SamplingSettings(max_tokens=0, steps=100_000)
SHORT = SamplingSettings(max_tokens=4, max_items=0)


def drawing(count: int = 1) -> list[Request]:
    return [Request((Text("a"),), seed, opens=True) for seed in range(count)]


def writing(seed: int = 0) -> list[Request]:
    return [Request((Text("the"),), seed)]


def told(job: Job) -> list:
    return [event for event in job.events(1) if event is not None]


def until(job: Job, kind: type):
    return next(event for event in job.events(1) if isinstance(event, kind))


def test_it_gives_what_the_sampler_gives(engine: Engine, model: Pretrained) -> None:
    """Whoever asks beside, and in more requests than there are rows."""
    settings = SamplingSettings(max_tokens=6, max_items=1, steps=4)
    asked = [Request((Text(f"go {n}"),), n, opens=n % 2 == 0) for n in range(10)]
    beside = threading.Thread(target=lambda: engine.generate(drawing(5), settings))
    beside.start()
    found = engine.generate(asked, settings)
    beside.join()
    for own, expected in zip(found, Sampler(model).generate(asked, settings), strict=True):
        assert [type(span) for span in own] == [type(span) for span in expected]
        for span, other in zip(own, expected, strict=True):
            if isinstance(span, Image):
                assert abs(span.pixels().astype(int) - other.pixels()).max() <= 1
            else:
                assert span == other


def test_those_that_wait_are_told_their_places(engine: Engine) -> None:
    first = engine.submit(drawing(4), LONG)
    until(first, Begun)
    jobs = [engine.submit(writing(), SHORT) for _ in range(3)]
    assert [until(job, Waits) for job in jobs] == [Waits(0), Waits(1), Waits(2)]
    jobs[0].cancel()
    engine.submit(writing(), SHORT).cancel()
    assert until(jobs[2], Waits) == Waits(1)
    first.cancel()
    for job in jobs[1:]:
        events = told(job)
        assert Begun() in events
        assert isinstance(events[-2], Ended)
        assert events[-1] == Over()


def test_a_job_that_is_cancelled_makes_room(engine: Engine) -> None:
    jobs = [engine.submit(drawing(), LONG) for _ in range(4)]
    for job in jobs:
        until(job, Begun)
    waits = engine.submit(writing(), SHORT)
    until(waits, Waits)
    jobs[2].cancel()
    assert told(waits)[-1] == Over()
    for job in jobs:
        job.cancel()


def test_too_many_are_refused(engine: Engine) -> None:
    jobs = [engine.submit(drawing(4), LONG)]
    until(jobs[0], Begun)
    jobs += [engine.submit(writing(), SHORT) for _ in range(MOST_WAITING)]
    with pytest.raises(UserError, match=f"{MOST_WAITING} others wait"):
        engine.submit(writing(), SHORT)
    jobs[1].cancel()
    jobs.append(engine.submit(writing(), SHORT))
    for job in jobs:
        job.cancel()


def test_what_cannot_run_is_refused_at_once(engine: Engine) -> None:
    with pytest.raises(UserError, match="context holds 400"):
        engine.submit([Request((Text("x" * 2000),))], SHORT)
    with pytest.raises(UserError, match="no stream 'sound'"):
        engine.submit([Request((), opens=True, stream="sound")], SamplingSettings())


def test_it_outlives_a_failure_of_the_model(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    step = ContinuousBatch.step

    def fails(batch: ContinuousBatch) -> None:
        monkeypatch.setattr(ContinuousBatch, "step", step)
        raise MemoryError("no room")

    monkeypatch.setattr(ContinuousBatch, "step", fails)
    assert told(engine.submit(writing(), SHORT))[-1] == Failed("the model failed: no room")
    assert "MemoryError" in capfd.readouterr().err
    assert told(engine.submit(writing(), SHORT))[-1] == Over()


def test_its_end_ends_what_runs_and_waits(model: Pretrained) -> None:
    with Engine(model, rows=1) as engine:
        jobs = [engine.submit(drawing(), LONG) for _ in range(2)]
        until(jobs[0], Begun)
    assert [told(job)[-1] for job in jobs] == [Failed(ENDED)] * 2
    with pytest.raises(UserError, match="chiasm demo no longer runs"):
        engine.submit(writing(), SHORT)
