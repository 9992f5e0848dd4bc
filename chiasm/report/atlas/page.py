"""atlas.html: one page that needs nothing beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from html import escape

from chiasm.evaluation.atlas.atlas import Atlas
from chiasm.evaluation.atlas.specialisation import CLASSES, Specialisation
from chiasm.evaluation.atlas.tasks import Tasks
from chiasm.intervals import RESAMPLES
from chiasm.report.atlas import published
from chiasm.report.atlas.choices import noise_section, spread_section
from chiasm.report.atlas.elements import decimal, plots, table
from chiasm.report.frame import fold, frame
from chiasm.report.run_folder import RunFolder
from chiasm.report.wording import duration

HEAD = (
    "What the routers of a mixture of experts learned, seen on held-out documents: which experts "
    "serve words, which serve pictures and which both, and what else the choice depends on. A "
    "router is never told what a position holds."
)

FEW = 30
"""Documents below which a page warns."""

HOLDS = {"text": "text", "context": "a picture to read", "target": "a picture to draw"}


def render_atlas(atlas: Atlas, run: RunFolder, figures: Mapping[str, str], command: str) -> str:
    """The whole page as HTML; ``figures`` are of :func:`.figures.draw_figures`."""
    name = run.path.resolve().name
    body = [
        _head(atlas, name),
        _classes(atlas, figures),
        _tasks(atlas, figures),
        noise_section(atlas, figures),
        spread_section(atlas, figures),
        _loads(atlas),
        _pairs(atlas),
        _skipped(atlas),
        _reproduction(atlas, run, command),
    ]
    return frame(f"chiasm experts: {name}", body)


def _head(atlas: Atlas, name: str) -> str:
    moe = atlas.model.moe
    facts = {
        "routed experts of a position": f"{moe.routed_choices} of {atlas.routed_experts}",
        "shared experts": {"none": "none", "global": "1", "modality": "1 of each modality"}[
            moe.shared
        ],
        "blocks with a router": f"{len(atlas.blocks)} of {atlas.model.depth}",
        "held-out documents": f"{sum(atlas.documents.values()):,}",
        "positions of text": f"{atlas.positions['text']:,}",
        "of pictures read / drawn": (
            f"{atlas.positions['context']:,} / {atlas.positions['target']:,}"
        ),
    }
    cells = "".join(f"<div><b>{escape(v)}</b>{escape(k)}</div>" for k, v in facts.items())
    return (
        f"<header><h1>chiasm <small>experts of {escape(name)}</small></h1><p>{HEAD} Intervals "
        f"hold 95 % of the resamples over {atlas.clusters:,} maps (pictures or documents where "
        f'there are no maps).</p>{_few(atlas)}<div class="facts">{cells}</div></header>'
    )


def _few(atlas: Atlas) -> str:
    """A warning where a group of documents is small."""
    few = [
        f"{number} that {'holds' if number == 1 else 'hold'} {HOLDS.get(part, part)}"
        for part, number in atlas.holding.items()
        if 0 < number < FEW
    ]
    if not few:
        return ""
    return (
        f'<p><span class="chip not-separated">few documents</span> {", ".join(few)}. Below '
        f"{FEW} of a kind intervals are wide and rough and chance is large: read more with "
        "<code>chiasm experts --documents</code>, or hold out more.</p>"
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
        f"{(1 + cutoff) / (1 - cutoff):.3g} times as often as a picture's. Whiskers are intervals"
        f"{_left_out(special)}. The published model has {published.EXPERTS} routed experts in 16 "
        "blocks, and its cut-offs are not known: compare the shapes."
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
        + plots(figures, "classes", "specialisation")
        + table(header, rows)
    )


def _left_out(special: Specialisation) -> str:
    if not special.left_out:
        return ""
    return (
        f", without the {special.left_out} of {RESAMPLES} resamples that drew no text or no "
        "pictures, where S is not defined"
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
        + plots(figures, "tasks")
        + table(header, rows)
    )


def _correlations(tasks: Tasks, place: int) -> tuple[str, ...]:
    between = tasks.between
    return (
        decimal(between.value[place]),
        f"{decimal(between.low[place])} to {decimal(between.high[place])}",
        decimal(tasks.with_text_Q[place]),
        decimal(tasks.halves_Q[place]),
    )


def _loads(atlas: Atlas) -> str:
    names = list(dict.fromkeys(name for loads in atlas.loads for name in loads))
    header = (
        "block",
        *(f"entropy, {name}" for name in names),
        *(f"largest / mean, {name}" for name in names),
        *(f"unused, {name}" for name in names),
        "dead experts",
    )
    formats = (("entropy", "{:.3f}"), ("largest_load", "{:.2f}"), ("unused", "{:.1%}"))
    rows = (
        (
            str(block),
            *(
                form.format(loads[name][measure]) if name in loads else ""
                for measure, form in formats
                for name in names
            ),
            ", ".join(map(str, dead)) or "none",
        )
        for block, loads, dead in zip(atlas.blocks, atlas.loads, atlas.dead, strict=True)
    )
    return (
        "<h2>Load</h2><p class='lead'>Entropy of the loads over ln E: 1 is even use. Largest / "
        "mean: the busiest expert against the mean of all. A modality that specialises uses few "
        "experts by design; what should be even is the load of all positions together. Dead "
        "experts were chosen by no position that was read.</p>" + table(header, rows)
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
        "Few positions move pairs by chance too.</p>" + table(header, rows)
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
