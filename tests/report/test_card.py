"""The card of an exported model: what it says of its numbers, its limits and its use."""

from dataclasses import replace
from typing import Any

from huggingface_hub import ModelCard

from chiasm.data.asking import answering, captioning, writing
from chiasm.report.card import CardContent, card

PLAIN = CardContent("mine", {"steps": "4"}, "any-to-any", "ann/mine")


def row(section: str, name: str, **more: Any) -> dict[str, Any]:
    usual = {"value": 0.5, "standard_error": 0.01, "unit": "share", "better": "higher"}
    counts = {"num_items": 40, "num_clusters": 20, "headline": False, "verdict": "shown"}
    against = {"baseline": None, "baseline_name": None}
    return {"section": section, "name": name, **usual, **counts, **against, **more}


def against(section: str, name: str, baseline: str, verdict: str, **more: Any) -> dict[str, Any]:
    return row(section, name, baseline=0.4, baseline_name=baseline, verdict=verdict, **more)


def told(*rows: dict[str, Any]) -> str:
    return card(replace(PLAIN, report={"rows": rows}))


def test_a_model_that_began_with_another_knows_its_data_too() -> None:
    assert "what it knows: its data alone;" in card(PLAIN)
    tuned = card(replace(PLAIN, begun_with="ann/base"))
    assert "what it knows: its data and those of ann/base, with which it began;" in tuned
    assert "alone" not in tuned


def test_lines_that_ask_stand_behind_what_they_read() -> None:
    asked = [writing("story:"), answering("what is above?"), *captioning("a red room")]
    lines = card(replace(PLAIN, asked=asked)).splitlines()
    drawn, answered = (
        lines.index('view = model.draw("a red room")  # picture: a red room …'),
        lines.index(
            'print(model.answer(view, "what is above?"))  '
            "# [view] question: what is above? answer: …"
        ),
    )
    assert drawn < answered
    assert 'print(model.write("story:"))  # story: …' in lines
    assert not any(line.startswith("view = Path") for line in lines)
    alone = card(replace(PLAIN, asked=asked[:2])).splitlines()
    assert [line for line in alone if line.startswith("view = Path")]


def test_the_header_has_one_headline_of_each_section() -> None:
    text = told(
        against("text", "text: bits per byte", "unigram", "beats", unit="bits/byte"),
        against("text", "text: bits per byte", "trigram", "beats", unit="bits/byte", headline=True),
        row("view", "feature distance", unit="latent RMS", headline=True),
        row("view", "SSIM", unit="index", headline=True),
        row("view", "PSNR", unit="dB", headline=True),
        row("view", "PSNR farther ahead", unit="dB", headline=True),
        row("questions", "those of one kind"),
    )
    results = ModelCard(text).data.eval_results
    assert [each.metric_name for each in results] == ["text: bits per byte", "view: PSNR"]
    assert "| text: bits per byte |" in text
    assert "text: text:" not in text


def test_an_interval_of_a_share_ends_where_shares_do() -> None:
    text = told(row("a", "high", value=0.995), row("a", "low", value=0.005))
    assert "[97.4 %, 100.0 %]" in text
    assert "[0.0 %, 2.6 %]" in text


def test_limits_are_one_line_for_each_task() -> None:
    text = told(
        against("view", "PSNR", "last frame", "beats"),
        against("view", "SSIM", "last frame", "worse"),
        against("view", "distance", "last frame", "not separated"),
        against("view", "PSNR", "other actions", "beats"),
        against("questions", "all", "majority", "beats"),
    )
    limits = text.partition("## Limits")[2]
    assert "- view: does not beat 'last frame' in 2 of 3 measures (worse in 1)\n" in limits
    assert "other actions" not in limits
    assert "questions" not in limits
