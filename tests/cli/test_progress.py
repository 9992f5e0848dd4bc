import io

from rich.console import Console

from chiasm.cli.progress import RunDisplay
from chiasm.training import StepReport


def test_shows_stages_steps_and_messages() -> None:
    screen = io.StringIO()
    with RunDisplay(20, Console(file=screen, width=120, force_terminal=True)) as display:
        display.on_stage("rendering", 1, 2)
        display.on_stage("rendering", 2, 2)
        display.tell("going on from step 7 [of 20]")
        timing = {"tokens_per_second": 12345.6}
        display.on_step(StepReport(8, {"text_loss": 1.25, "loss": 1.25}, timing))
    shown = screen.getvalue()
    assert "going on from step 7 [of 20]" in shown
    assert "rendering" in shown
    assert "8/20" in shown
    assert "12,346 tokens/s" in shown
    assert "text 1.250" in shown
    assert "flow" not in shown
