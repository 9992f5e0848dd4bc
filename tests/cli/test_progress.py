import io

from rich.console import Console

from chiasm.cli.progress import RunDisplay, StageLines
from chiasm.loop.progress import StepReport


def test_shows_stages_steps_and_messages() -> None:
    screen = io.StringIO()
    with RunDisplay(20, Console(file=screen, width=120, force_terminal=True)) as display:
        display.on_stage("rendering", 1, 2)
        display.on_stage("rendering", 2, 2)
        display.tell("going on from step 7 [of 20]")
        timing = {"tokens_per_second": 12345.6}
        display.on_step(StepReport(8, {}, {"text_loss": 1.25, "loss": 1.25}, timing))
    shown = screen.getvalue()
    assert "going on from step 7 [of 20]" in shown
    assert "rendering" in shown
    assert "8/20" in shown
    assert "12,346 tokens/s" in shown
    assert "text 1.250" in shown
    assert "flow" not in shown


def test_losses_are_means_of_the_last_steps() -> None:
    log = io.StringIO()
    with RunDisplay(60, Console(file=log, width=40)) as display:
        for step in range(1, 61):
            display.on_step(
                StepReport(step, {}, {"text_loss": float(step % 2)}, {"tokens_per_second": 1.0})
            )
    last = log.getvalue().splitlines()[-1]
    assert last.endswith("text 0.500  (means of 20 steps)")


def test_a_file_gets_plain_lines_at_once() -> None:
    log = io.StringIO()
    with RunDisplay(20, Console(file=log, width=40)) as display:
        display.on_stage("rendering", 0, 2)
        assert log.getvalue() == "rendering: 0/2  begins\n"
        display.on_stage("rendering", 2, 2)
        display.tell("going on from step 7 [of 20]")
        timing = {"tokens_per_second": 12345.6}
        for step in range(8, 11):
            display.on_step(StepReport(step, {}, {"text_loss": 1.25, "flow_loss": 0.5}, timing))
    assert log.getvalue().splitlines() == [
        "rendering: 0/2  begins",
        "rendering: 2/2  ended after 0:00:00",
        "going on from step 7 [of 20]",
        "training: 8/20  begins  12,346 tokens/s  text 1.250  flow 0.500",
        "training: 10/20  no longer running",
    ]


def test_the_end_of_an_evaluation_is_a_full_bar() -> None:
    screen = io.StringIO()
    with RunDisplay(0, Console(file=screen, width=120, force_terminal=True)) as display:
        display.on_section("writing", 5, 6)
        display.end_sections()
    last = screen.getvalue().rpartition("evaluating")[2]
    assert "100%" in last
    assert "writing" not in last


def test_lines_keep_their_distance_and_say_the_time_left() -> None:
    now_seconds = 0.0
    written: list[str] = []
    lines = StageLines(written.append, lambda: now_seconds)
    for done in range(101):
        lines.update("training", done, 100, "text 1.250")
        now_seconds += 1.0
    lines.update("training", 100, 100, "")
    lines.update("training", 0, 5, "")
    lines.close()
    assert written == [
        "training: 0/100  begins  text 1.250",
        "training: 30/100  text 1.250  about 0:01:10 left",
        "training: 60/100  text 1.250  about 0:00:40 left",
        "training: 90/100  text 1.250  about 0:00:10 left",
        "training: 100/100  ended after 0:01:40  text 1.250",
        "training: 0/5  begins",
        "training: 0/5  no longer running",
    ]
