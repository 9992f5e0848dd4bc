"""Published numbers with their measurements, and verdicts by the stated rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chiasm.intervals import Interval, paired_seeds
from chiasm.paper.agreement import (
    Agreement,
    by_sign,
    by_value,
    comparable,
    overall,
    unanimous,
)
from chiasm.paper.findings import (
    Findings,
    FindingSettings,
    LawMeasureSettings,
    NumberSettings,
    StudyMeasureSettings,
)
from chiasm.paper.laws import asked, difference
from chiasm.paper.results import Result, refit, scale
from chiasm.scaling.frontier import TITLES


@dataclass(frozen=True)
class Counterpart:
    """One measured counterpart of a published number."""

    result: str
    agreement: Agreement
    is_refit: bool
    """Whether it is a refit of points that the paper plots, without training."""
    quantity: str
    """``difference`` for a study, or a law's quantity."""
    intervals: Mapping[str, Interval[float]]
    """Intervals by method; a study has one."""
    unit: str = ""
    means: tuple[float, float] | None = None
    """Means of the two cells of a difference, over common seeds."""
    scale: str = ""
    """Size of the models and runs, in words."""
    note: str = ""
    doubt: str = ""
    """Reason of an undecided verdict."""


@dataclass(frozen=True)
class JudgedNumber:
    """A published number and its measurements."""

    published: NumberSettings
    measurements: tuple[Counterpart, ...]

    @property
    def agreement(self) -> Agreement:
        """Common verdict of the measurements other than refits."""
        return unanimous(each.agreement for each in self.measurements if not each.is_refit)


@dataclass(frozen=True)
class JudgedFinding:
    """A finding with a verdict."""

    finding: FindingSettings
    numbers: tuple[JudgedNumber, ...]

    @property
    def agreement(self) -> Agreement:
        """Verdict by the rule for findings."""
        return overall(number.agreement for number in self.numbers if not number.published.follows)


def judge(findings: Findings, kept: Mapping[str, Result]) -> list[JudgedFinding]:
    """Returns every finding with its verdict.

    Args:
        findings: the paper's findings.
        kept: kept results by name; refits of the paper's optima are computed here.
    """
    refits = {
        name: refit(settings.refit) for name, settings in findings.results.items() if settings.refit
    }
    return [
        JudgedFinding(finding, tuple(_judged(number, kept, refits) for number in finding.numbers))
        for finding in findings.findings
    ]


def _judged(
    number: NumberSettings, kept: Mapping[str, Result], refits: Mapping[str, Result]
) -> JudgedNumber:
    measured = []
    if number.study is not None:
        measured.append(_of_study(number, number.study, kept.get(number.study.result)))
    for law in number.laws:
        measured.append(_of_law(number, law, {**kept, **refits}, law.result in refits))
    return JudgedNumber(number, tuple(measured))


def _of_study(
    number: NumberSettings, study: StudyMeasureSettings, result: Result | None
) -> Counterpart:
    nothing = Counterpart(study.result, Agreement.NOT_MEASURED, False, "difference", {})
    if result is None:
        return nothing
    own, other = (result.values(cell, study.metric) for cell in (study.cell, study.against))
    found = paired_seeds(own, other)
    if found is None:
        return nothing
    assert number.value is not None  # a study has published both
    assert number.against is not None
    published, reading_error = number.value - number.against, 2 * (number.uncertainty or 0.0)
    seeds = own.keys() & other.keys()
    cells = [
        cell
        for cell in result.cells
        if cell.cell in (study.cell, study.against) and cell.seed in seeds
    ]
    own_mean, other_mean = (sum(each[seed] for seed in seeds) / len(seeds) for each in (own, other))
    agreement, doubt = by_sign(found.interval, published, reading_error)
    return Counterpart(
        result=study.result,
        agreement=agreement,
        is_refit=False,
        quantity="difference",
        intervals={"paired difference": found.interval},
        unit=result.unit(study.metric),
        means=(own_mean, other_mean),
        scale=scale(cells),
        note=f"{study.metric}: {study.cell}, against {study.against}",
        doubt=doubt,
    )


def _of_law(
    number: NumberSettings,
    law: LawMeasureSettings,
    results: Mapping[str, Result],
    is_refit: bool,
) -> Counterpart:
    result = results.get(law.result, Result())
    found = asked(result.laws, law)
    if law.minus_result:
        others = asked(results.get(law.minus_result, Result()).laws, law)
        by_method = {each.method: each for each in others}
        found = [difference(n, by_method[n.method]) for n in found if n.method in by_method]
    assert number.value is not None  # the settings' own check
    intervals = {TITLES[each.method]: each.interval for each in found}
    verdicts = {name: by_value(each, number.value, law.rival) for name, each in intervals.items()}
    agreement = unanimous(verdict for verdict, _ in verdicts.values())
    doubt = "; ".join(dict.fromkeys(doubt for _, doubt in verdicts.values() if doubt))
    odd = [each.gamma for each in found if not comparable(each.gamma)]
    if odd:
        agreement = Agreement.UNDECIDED
        doubt = f"not comparable: FLOPs per token grow as N^{odd[0]:.2f}; fit with --size compute"
    elif len({verdict for verdict, _ in verdicts.values()}) > 1:
        told = "; ".join(f"{name} {verdict}" for name, (verdict, _) in verdicts.items())
        doubt = f"the methods do not say the same: {told}"
    return Counterpart(
        result=law.result,
        agreement=agreement,
        is_refit=is_refit,
        quantity=law.quantity,
        intervals=intervals,
        scale="the optima that the paper plots" if is_refit else scale(result.cells),
        note="" if law.rival is None else f"must leave out {law.rival:g}",
        doubt=doubt,
    )
