"""The report of an atlas: what experts are chosen for, and what else their choice depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from chiasm.evaluation.atlas.atlas import NOISE, SPREADS, Atlas
from chiasm.evaluation.atlas.specialisation import CLASSES, Specialisation
from chiasm.evaluation.atlas.spread import Excess
from chiasm.evaluation.atlas.tasks import Tasks
from chiasm.intervals import RESAMPLES
from chiasm.report import doc
from chiasm.report.atlas import published
from chiasm.report.atlas.table import atlas_record
from chiasm.report.numbers import duration, number
from chiasm.report.record import folded
from chiasm.report.run_folder import RunFolder
from chiasm.training.versions import versions

HEAD = (
    "What the routers of a mixture of experts learned, seen on held-out documents: which experts "
    "serve words, which serve pictures and which both, and what else the choice depends on. A "
    "router is never told what a position holds. Intervals hold 95 % of the resamples over "
)

VARIATION = (
    "the standard deviation of an expert's rate over the groups, over its mean; then the mean over "
    "experts"
)

CHANCE = (
    "Multinomial: what as many independent choices would give. Shuffled: what is left when the "
    "groups change places inside each document (sources: among documents), which also knows that "
    "the positions of one picture choose alike, but evens out groups of different size. Neither is "
    "always the larger, so that both are shown, and a value is called more than chance only above "
    "97.5 % of both."
)

FEW = 30
"""Number of documents below which a page warns."""

HOLDS = {"text": "text", "context": "a picture to read", "target": "a picture to draw"}

Figures = Mapping[str, str]
"""Name → SVG, from :func:`.figures.draw_figures`."""


def atlas_report(atlas: Atlas, run: RunFolder, figures: Figures, command: str) -> doc.Report:
    """Returns the whole report; sections that were not measured are left out."""
    name = run.path.resolve().name
    moe, positions = atlas.model.moe, atlas.positions
    shared = {"none": "none", "global": "1", "modality": "1 of each modality"}[moe.shared_experts]
    return doc.Report(
        title=f"chiasm experts: {name}",
        subject=f"experts of {name}",
        intro=[
            f"{HEAD}{atlas.clusters:,} maps (pictures or documents where there are no maps).",
            *_few(atlas),
        ],
        facts={
            "routed experts of a position": f"{moe.routed_choices} of {atlas.routed_experts}",
            "shared experts": shared,
            "blocks with a router": f"{len(atlas.blocks)} of {atlas.model.depth}",
            "held-out documents": f"{sum(atlas.documents.values()):,}",
            "positions of text": f"{positions['text']:,}",
            "of pictures read / drawn": f"{positions['context']:,} / {positions['target']:,}",
        },
        sections=[
            *_classes(atlas, figures),
            *_tasks(atlas, figures),
            *_choices(atlas, figures),
            _loads(atlas),
            _pairs(atlas),
            doc.Section("Not measured", [doc.Terms(atlas.skipped)]),
            _reproduction(atlas, run, command),
        ],
        footer="Every number is in atlas.json, and every figure an SVG file, in this folder.",
        record=atlas_record(atlas, command, {"training": run.versions, "atlas": versions(command)}),
    )


def _few(atlas: Atlas) -> Iterator[doc.Words]:
    """Yields a warning where a group of documents is small."""
    few = [
        f"{number} that {'holds' if number == 1 else 'hold'} {HOLDS.get(part, part)}"
        for part, number in atlas.holding.items()
        if 0 < number < FEW
    ]
    if few:
        yield (
            doc.Mark("few documents", "chip", "not separated"),
            f" {', '.join(few)}. Below {FEW} of a kind intervals are wide and rough and chance is "
            "large: read more with ",
            doc.Mark("chiasm experts --documents", "code"),
            ", or hold out more.",
        )


def _plots(figures: Figures, *names: str) -> list[doc.Figure]:
    """Returns those of these figures that were drawn."""
    return [doc.Figure(figures[name]) for name in names if name in figures]


def _table(columns: Sequence[str], rows: Sequence[doc.Row]) -> doc.Table:
    return doc.Table(rows, columns, unbroken=range(len(columns)))


def _classes(atlas: Atlas, figures: Figures) -> Iterator[doc.Section]:
    special, cutoff = atlas.specialisation, atlas.settings.cutoff
    if special is None:
        return
    left_out = (
        f", without the {special.left_out} of {RESAMPLES} resamples that drew no text or no "
        "pictures, where S is not defined"
    )
    lead = (
        "R is the share of a modality's assignments that an expert gets, and S = (R_text − "
        "R_vision) / (R_text + R_vision): 1 for words alone, −1 for pictures alone. An expert is "
        f"of text where S > {cutoff:g}, of vision where S < −{cutoff:g}, else multimodal; "
        f"with this cut-off an expert of text serves a text position at least "
        f"{(1 + cutoff) / (1 - cutoff):.3g} times as often as a picture's. Whiskers are intervals"
        f"{left_out if special.left_out else ''}. The published model has {published.EXPERTS} "
        "routed experts in 16 blocks, and its cut-offs are not known: compare the shapes."
    )
    columns = (
        *("block", *(f"{name} experts" for name in CLASSES), "unused"),
        "text / multimodal / vision at cut-off",
    )
    rows = [
        (
            str(block),
            *(_share(special, place, kind) for kind in range(3)),
            str(special.unused_Q[place]),
            _by_cutoff(special, place),
        )
        for place, block in enumerate(atlas.blocks)
    ]
    plots = _plots(figures, "classes", "specialisation")
    yield doc.Section("What experts serve", [*plots, _table(columns, rows)], lead)


def _share(special: Specialisation, place: int, kind: int) -> doc.Words:
    share = special.share_Q3
    value, low, high = (100 * each[place, kind] for each in (share.value, share.low, share.high))
    interval = "" if math.isnan(low) else f" [{low:.0f}, {high:.0f}] %"
    return f"{special.count_Q3[place, kind]} = {value:.0f} %", doc.Mark(interval, "small")


def _by_cutoff(special: Specialisation, place: int) -> doc.Words:
    counts = (
        f"{cutoff:.2g}: {' / '.join(map(str, count_Q3[place]))}"
        for cutoff, count_Q3 in special.count_by_cutoff.items()
    )
    return doc.Mark(";\u2002".join(counts), "small")


def _tasks(atlas: Atlas, figures: Figures) -> Iterator[doc.Section]:
    tasks = atlas.tasks
    if tasks is None:
        return
    numbers = " and ".join(f"{number} of {task}" for task, number in tasks.documents.items())
    lead = (
        "Do pictures that are read and pictures that are drawn use the same experts? Pearson's "
        "correlation over a block's experts of the rates R of picture positions, in documents that "
        "read a picture and go on in words against documents that ask for one "
        f"({numbers}). Below it stands what reading pictures has in common with the words beside "
        "them; above it, what read pictures of one half of the maps have in common with the other "
        "half, which is as much as this many documents can show. Read pictures are clean, drawn "
        "ones are at the flow times of training; where the correlation rises with the flow time of "
        "the drawn, noise sets the two apart and not the task."
    )
    columns = ("block", "correlation", "95 % interval", "read against text", "half against half")
    rows = [(str(block), *_correlations(tasks, place)) for place, block in enumerate(atlas.blocks)]
    plots = _plots(figures, "tasks")
    yield doc.Section("Understanding and generation", [*plots, _table(columns, rows)], lead)


def _correlations(tasks: Tasks, place: int) -> tuple[str, ...]:
    between = tasks.between
    return (
        number(between.value[place]),
        f"{number(between.low[place])} to {number(between.high[place])}",
        number(tasks.with_text_Q[place]),
        number(tasks.halves_Q[place]),
    )


def _choices(atlas: Atlas, figures: Figures) -> Iterator[doc.Section]:
    """Yields variation of experts with flow time, if vision experts are known, and otherwise."""
    if NOISE in atlas.spreads:
        lead = (
            "Every target picture is read at the middle of each tenth of flow time under the same "
            f"noise. The coefficient of variation is {VARIATION}; here over the tenths and the "
            f"block's vision experts. {CHANCE}"
        )
        yield doc.Section(
            "Does noise choose experts?", [doc.Prose(lead), *_plots(figures, "noise")]
        )
    measure = (
        "The coefficient of variation between other groups of positions"
        if NOISE in atlas.spreads
        else f"The coefficient of variation is {VARIATION}. {CHANCE} Here it is taken"
    )
    columns = (
        *("variation of", "block", "measured"),
        *("multinomial", "97.5 % below", "shuffled", "97.5 % below"),
    )
    rows = [
        (
            SPREADS[name] if place == 0 else "",
            str(block),
            _beside_chance(spread.value_Q[place], spread.verdicts[place]),
            number(spread.multinomial_Q[place]),
            number(spread.multinomial_high_Q[place]),
            number(spread.shuffled_Q[place]),
            number(spread.shuffled_high_Q[place]),
        )
        for name, spread in atlas.spreads.items()
        for place, block in enumerate(atlas.blocks)
    ]
    yield doc.Section(
        "What else the choice depends on",
        [*_plots(figures, "spreads", "sources", "places"), _table(columns, rows)],
        f"{measure}, over all experts, each weighed by its load: between tenths of flow time, "
        "between sources, between tenths of the longest document, between fields of the image. 0 "
        "is no dependence at all. In the maps experts go from text to vision, and the numbers "
        "below the fields are the experts'.",
    )


def _beside_chance(value: float, verdict: Excess) -> doc.Words:
    if verdict == Excess.UNKNOWN:
        return verdict
    if verdict == Excess.MORE:
        return f"{number(value)} ", doc.Mark(verdict, "chip")
    return f"{number(value)} ({verdict})"


def _loads(atlas: Atlas) -> doc.Section:
    names = list(dict.fromkeys(name for loads in atlas.loads for name in loads))
    forms = {"entropy": "{:.3f}", "largest_load": "{:.2f}", "unused": "{:.1%}"}
    titles = ("entropy", "largest / mean", "unused")
    columns = (
        *("block", *(f"{title}, {name}" for title in titles for name in names)),
        "dead experts",
    )
    rows = [
        (
            str(block),
            *(
                form.format(loads[name][measure]) if name in loads else ""
                for measure, form in forms.items()
                for name in names
            ),
            ", ".join(map(str, dead)) or "none",
        )
        for block, loads, dead in zip(atlas.blocks, atlas.loads, atlas.dead, strict=True)
    ]
    lead = (
        "Entropy of the loads over ln E: 1 is even use. Largest / mean: the busiest expert against "
        "the mean of all. A modality that specialises uses few experts by design; what should be "
        "even is the load of all positions together. Dead experts were chosen by no position that "
        "was read."
    )
    return doc.Section("Load", [_table(columns, rows)], lead)


def _pairs(atlas: Atlas) -> doc.Section:
    rows = []
    for each in atlas.pairs:
        top: list[doc.Words] = []
        for pair in each.top:
            told = f"{pair.experts[0]} + {pair.experts[1]}: {pair.observed:.1%} "
            top += ["; " if top else "", told, doc.Mark(f"({pair.expected:.1%})", "small")]
        rows.append((each.modality, str(atlas.blocks[each.block]), f"{each.moved:.1%}", tuple(top)))
    lead = (
        "Pairs of experts that one position chose, as shares of all pairs; in brackets what the "
        "experts' own loads would give. Pairs moved: the share of pairs that would have to be "
        "others for choices to be independent. Few positions move pairs by chance too."
    )
    columns = ("modality", "block", "pairs moved", "together more often than expected")
    return doc.Section("Experts chosen together", [_table(columns, rows)], lead)


def _reproduction(atlas: Atlas, run: RunFolder, command: str) -> doc.Section:
    documents = "; ".join(f"{name}: {number}" for name, number in atlas.documents.items())
    return doc.Section(
        "Make it again",
        [
            doc.Commands(command),
            doc.Prose(f"Documents read: {documents}. Time: {duration(atlas.seconds)}."),
            folded("Settings of the atlas", atlas.settings),
            doc.Commands(run.recipe, "The run's resolved recipe"),
            folded("Versions and machine of the training", run.versions),
        ],
    )
