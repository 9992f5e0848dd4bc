"""The comparison: for each metric and cell the mean over seeds, the paired difference, and
published values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.intervals import Better, SeedMean, Verdict, paired_seeds, seed_mean
from chiasm.studies.collect import Record
from chiasm.studies.settings import MetricSettings, PublishedSettings, StudySettings


@dataclass(frozen=True)
class Entry:
    """One metric of one cell, over its seeds."""

    metric: str
    cell: str
    unit: str
    better: Better
    values: dict[int, float]
    """Seed → value, of the finished seeds."""
    num_planned: int
    """Number of seeds of the study."""
    mean: SeedMean | None
    """Mean over the finished seeds; None while there are none."""
    difference: SeedMean | None
    """Difference to the baseline cell, or to the first of its budget, over the seeds that both
    have; None for the baseline itself.
    """
    published: PublishedSettings | None
    published_difference: float | None
    """The published value minus that of the baseline cell, where both are published."""

    @property
    def verdict(self) -> Verdict:
        """Verdict on the difference."""
        return Verdict.SHOWN if self.difference is None else self.difference.verdict(self.better)


def compare(study: StudySettings, records: Sequence[Record]) -> list[Entry]:
    """Returns one entry for each metric and cell, metric by metric.

    Cells of a budget are compared with the first of that budget: between budgets nothing is held
    fixed.
    """
    cells = {record.cell.name: record.cell.budget_flops for record in records}
    first = {budget: cell for cell, budget in reversed(cells.items())}
    return [
        _entry(study, records, metric, cell, study.baseline or first[budget])
        for metric in study.metrics
        for cell, budget in cells.items()
    ]


def _entry(
    study: StudySettings,
    records: Sequence[Record],
    metric: MetricSettings,
    cell: str,
    baseline: str,
) -> Entry:
    values, reference = _values(records, metric, cell), _values(records, metric, baseline)
    own, other = (_published(study, metric, name) for name in (cell, baseline))
    both = own is not None and other is not None and cell != baseline
    return Entry(
        metric=metric.name,
        cell=cell,
        unit=_unit(records, metric),
        better=metric.better,
        values=values,
        num_planned=len(study.seeds),
        mean=seed_mean(list(values.values())) if values else None,
        difference=paired_seeds(values, reference) if cell != baseline else None,
        published=own,
        published_difference=own.value - other.value if both and own and other else None,
    )


def _values(records: Sequence[Record], metric: MetricSettings, cell: str) -> dict[int, float]:
    found = {r.cell.seed: r.metric(metric.name) for r in records if r.cell.name == cell}
    return {seed: value for seed, value in found.items() if value is not None}


def _unit(records: Sequence[Record], metric: MetricSettings) -> str:
    results = (record.result for record in records if record.result is not None)
    units = (r.metrics[metric.name]["unit"] for r in results if metric.name in r.metrics)
    return next(units, "")


def _published(study: StudySettings, metric: MetricSettings, cell: str) -> PublishedSettings | None:
    return next((p for p in study.published if (p.metric, p.cell) == (metric.name, cell)), None)
