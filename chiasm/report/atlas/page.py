"""atlas.html: one page that needs nothing beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from chiasm.evaluation.atlas.atlas import NOISE, SPREADS, Atlas
from chiasm.evaluation.atlas.specialisation import CLASSES, Specialisation
from chiasm.evaluation.atlas.tasks import Tasks
from chiasm.report.atlas import published
from chiasm.report.frame import fold, frame
from chiasm.report.run_folder import RunFolder
from chiasm.report.wording import duration

MODALITIES = ("text", "vision", "all")

HEAD = (
    "What the routers of a mixture of experts learned, seen on held-out documents: which experts "
    "serve words, which serve pictures and which both, and what else the choice depends on. A "
    "router is never told what a position holds. Intervals hold 95 % of the resamples over maps "
    "(over pictures or documents where there are no maps)."
)


def render_atlas(atlas: Atlas, run: RunFolder, figures: Mapping[str, str], command: str) -> str:
    """The whole page as HTML; ``figures`` are of :func:`.figures.draw_figures`."""
    name = run.path.resolve().name
    body = [
        _head(atlas, name),
        _classes(atlas, figures),
        _tasks(atlas, figures),
        _noise(atlas, figures),
        _spreads(atlas, figures),
        _loads(atlas),
        _pairs(atlas),
        _skipped(atlas),
        _reproduction(atlas, run, command),
    ]
    return frame(f"chiasm experts: {name}", body)


def _head(atlas: Atlas, name: str) -> str:
    moe = atlas.model.moe
    facts = {
        "routed experts of a block": str(moe.num_routed),
        "of them for each position": str(moe.routed_choices),
        "shared experts": {"none": "none", "global": "1", "modality": "1 of each modality"}[
            moe.shared
        ],
        "blocks with a router": f"{len(atlas.blocks)} of {atlas.model.depth}",
        "held-out documents": f"{sum(atlas.documents.values()):,}",
        "positions of text": f"{atlas.positions['text']:,}",
        "of pictures, read / drawn": (
            f"{atlas.positions['context']:,} / {atlas.positions['target']:,}"
        ),
    }
    cells = "".join(f"<div><b>{escape(v)}</b>{escape(k)}</div>" for k, v in facts.items())
    return (
        f"<header><h1>chiasm <small>experts of {escape(name)}</small></h1><p>{HEAD}</p>"
        f'<div class="facts">{cells}</div></header>'
    )


def _classes(atlas: Atlas, figures: Mapping[str, str]) -> str:
    special, cutoff = atlas.specialisation, atlas.settings.cutoff
    if special is None:
        return ""
    lead = (
        "R is the share of a modality's assignments that an expert gets, and S = (R_text − "
        "R_vision) / (R_text + R_vision): 1 for words alone, −1 for pictures alone. An expert is "
        f"of text where S &gt; {cutoff:g}, of vision where S &lt; −{cutoff:g}, else multimodal; "
        f"with this cut-off an expert of text serves a text position at least "
        f"{(1 + cutoff) / (1 - cutoff):.3g} times as often as a picture's. Thin lines are "
        f"intervals. The published model has {published.EXPERTS} routed experts in 16 blocks, and "
        "its cut-offs are not known: compare the shapes."
    )
    header = (
        "block",
        *(f"{name} experts" for name in CLASSES),
        "unused",
        "text / multimodal / vision at cut-off",
    )
    rows = (
        (
            str(block),
            *(_share(special, place, number) for number in range(3)),
            str(special.unused_Q[place]),
            _by_cutoff(special, place),
        )
        for place, block in enumerate(atlas.blocks)
    )
    return (
        f"<h2>What experts serve</h2><p class='lead'>{lead}</p>"
        + _plots(figures, "classes", "specialisation")
        + _table(header, rows)
    )


def _share(special: Specialisation, place: int, number: int) -> str:
    share = special.share_Q3
    low, high = (100 * each[place, number] for each in (share.low, share.high))
    interval = "" if math.isnan(low) else f" <small>[{low:.0f}, {high:.0f}] %</small>"
    value = 100 * share.value[place, number]
    return f"{special.count_Q3[place, number]} = {value:.0f} %{interval}"


def _by_cutoff(special: Specialisation, place: int) -> str:
    counts = (
        f"{cutoff:.2g}: {' / '.join(map(str, count_Q3[place]))}"
        for cutoff, count_Q3 in special.count_by_cutoff.items()
    )
    return f"<small>{';&ensp;'.join(counts)}</small>"


def _tasks(atlas: Atlas, figures: Mapping[str, str]) -> str:
    tasks = atlas.tasks
    if tasks is None:
        return ""
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
    header = ("block", "correlation", "95 % interval", "read against text", "half against half")
    rows = ((str(block), *_correlations(tasks, place)) for place, block in enumerate(atlas.blocks))
    return (
        f"<h2>Understanding and generation</h2><p class='lead'>{lead}</p>"
        + _plots(figures, "tasks")
        + _table(header, rows)
    )


def _correlations(tasks: Tasks, place: int) -> tuple[str, ...]:
    between = tasks.between
    return (
        _number(between.value[place]),
        f"{_number(between.low[place])} to {_number(between.high[place])}",
        _number(tasks.with_text_Q[place]),
        _number(tasks.halves_Q[place]),
    )


def _noise(atlas: Atlas, figures: Mapping[str, str]) -> str:
    if NOISE not in atlas.spreads:
        return ""
    return (
        "<h2>Does noise choose experts?</h2><p class='lead'>Every target picture is read at the "
        "middle of each tenth of flow time under the same noise. For each vision expert: the "
        "standard deviation of its rate over the tenths, over its mean; then the mean over the "
        "block's vision experts. Multinomial: what as many independent choices would give. "
        "Shuffled: what is left when the tenths change places inside each document, which also "
        "knows that the positions of one picture choose alike.</p>" + _plots(figures, "noise")
    )


def _spreads(atlas: Atlas, figures: Mapping[str, str]) -> str:
    if not atlas.spreads:
        return ""
    header = ("variation of", "block", "measured", "multinomial", "shuffled", "97.5 % of shuffled")
    rows = (
        (
            escape(SPREADS[name]) if place == 0 else "",
            str(block),
            _over_chance(spread.value_Q[place], spread.shuffled_high_Q[place]),
            _number(spread.multinomial_Q[place]),
            _number(spread.shuffled_Q[place]),
            _number(spread.shuffled_high_Q[place]),
        )
        for name, spread in atlas.spreads.items()
        for place, block in enumerate(atlas.blocks)
    )
    return (
        "<h2>What else the choice depends on</h2><p class='lead'>The same measure between other "
        "groups of positions, here over all experts, each weighed by its load: between sources, "
        "between tenths of the longest document, between fields of the image. 0 is no dependence "
        "at all; a value above the shuffled is more than chance. In the maps experts go from text "
        "to vision, and the numbers below the fields are the experts'.</p>"
        + _plots(figures, "spreads", "sources", "places")
        + _table(header, rows)
    )


def _over_chance(value: float, high: float) -> str:
    if math.isnan(value):
        return "no such expert"
    chip = '<span class="chip">more than chance</span>' if value > high else "(as by chance)"
    return f"{_number(value)} {chip}"


def _loads(atlas: Atlas) -> str:
    header = (
        "block",
        *(f"entropy, {name}" for name in MODALITIES),
        *(f"largest / mean, {name}" for name in MODALITIES),
        *(f"unused, {name}" for name in MODALITIES),
        "dead experts",
    )
    formats = (("entropy", "{:.3f}"), ("largest_load", "{:.2f}"), ("unused", "{:.1%}"))
    rows = (
        (
            str(block),
            *(
                form.format(loads[name][measure]) if name in loads else ""
                for measure, form in formats
                for name in MODALITIES
            ),
            ", ".join(map(str, dead)) or "none",
        )
        for block, loads, dead in zip(atlas.blocks, atlas.loads, atlas.dead, strict=True)
    )
    return (
        "<h2>Load</h2><p class='lead'>Entropy of the loads over ln E: 1 is even use. Largest / "
        "mean: the busiest expert against the mean of all. A modality that specialises uses few "
        "experts by design; what should be even is the load of all positions together. Dead "
        "experts were chosen by no position that was read.</p>" + _table(header, rows)
    )


def _pairs(atlas: Atlas) -> str:
    if not atlas.pairs:
        return ""
    header = ("modality", "block", "pairs moved", "together more often than expected")
    rows = (
        (
            each.modality,
            str(atlas.blocks[each.block]),
            f"{each.moved:.1%}",
            "; ".join(
                f"{pair.experts[0]} + {pair.experts[1]}: {pair.observed:.1%} "
                f"<small>({pair.expected:.1%})</small>"
                for pair in each.top
            ),
        )
        for each in atlas.pairs
    )
    return (
        "<h2>Experts chosen together</h2><p class='lead'>Pairs of experts that one position "
        "chose, as shares of all pairs; in brackets what the experts' own loads would give. Pairs "
        "moved: the share of pairs that would have to be others for choices to be independent. "
        "Few positions move pairs by chance too.</p>" + _table(header, rows)
    )


def _skipped(atlas: Atlas) -> str:
    entries = "".join(
        f"<dt>{escape(section)}</dt><dd>{escape(reason)}</dd>"
        for section, reason in atlas.skipped.items()
    )
    return f"<h2>Not measured</h2><dl>{entries}</dl>" if entries else ""


def _reproduction(atlas: Atlas, run: RunFolder, command: str) -> str:
    documents = "; ".join(f"{name}: {number}" for name, number in atlas.documents.items())
    return (
        f"<h2>Make it again</h2><pre>{escape(command)}</pre><p class='lead'>Documents read: "
        f"{escape(documents)}. Time: {duration(atlas.seconds)}.</p>"
        + fold(
            "Settings of the atlas", json.dumps(atlas.settings.model_dump(mode="json"), indent=1)
        )
        + fold("The run's resolved recipe", run.recipe)
        + fold("Versions and machine of the training", json.dumps(run.versions, indent=2))
        + "<footer>Every number is in atlas.json, and every figure an SVG file, in this folder."
        "</footer>"
    )


def _plots(figures: Mapping[str, str], *names: str) -> str:
    drawn = (figures[name] for name in names if name in figures)
    return "".join(f'<div class="plot">{svg}</div>' for svg in drawn)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f'<td class="n">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def _number(value: float | np.floating) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3f}".replace("-", "−")
