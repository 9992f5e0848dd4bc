"""The whole atlas: what the routers of a trained model learned, in one call.

Shape suffixes: D documents, G groups of positions, Q blocks with a router, R routed experts, X
modalities.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from chiasm.evaluation.atlas.observation import (
    CONTEXT,
    OTHER,
    TARGET,
    TEXT,
    VISION,
    Observation,
    ProgressCallback,
    observe,
)
from chiasm.evaluation.atlas.pairs import Pairs, measure_pairs
from chiasm.evaluation.atlas.reasons import (
    no_pairs,
    no_specialisation,
    no_spread,
    no_tasks,
    no_vision_experts,
)
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.evaluation.atlas.specialisation import Specialisation, measure_specialisation
from chiasm.evaluation.atlas.spread import Cells, Spread, measure_spread
from chiasm.evaluation.atlas.tasks import Tasks, measure_tasks
from chiasm.evaluation.material import Material
from chiasm.inference.pretrained import Pretrained
from chiasm.intervals import Resamples
from chiasm.model.settings import ModelSettings
from chiasm.training.tally import load_values

NOISE = "noise"
"""Spread over tenths of flow time, of the vision experts: the article's figure."""

SPREADS = {
    NOISE: "vision experts, by flow time",
    "noise, all experts": "drawn pictures, by flow time",
    "text by source": "text, by source",
    "vision by source": "pictures, by source",
    "text by place": "text, by place in the document",
    "vision by place": "pictures, by place in the image",
}
"""Spread → what varies, and over which groups."""

POSITIONS = {
    NOISE: (TARGET,),
    "noise, all experts": (TARGET,),
    "text by source": (TEXT,),
    "vision by source": (CONTEXT, TARGET),
    "text by place": (TEXT,),
    "vision by place": (CONTEXT, TARGET),
}
"""Spread → groups of positions that it is measured on."""

Loads = dict[str, dict[str, float]]
"""Modality (or all) → ``largest_load``, ``entropy`` and ``unused`` of a block."""


@dataclass(frozen=True)
class Atlas:
    """All findings; a section that the data does not allow is None or missing."""

    settings: AtlasSettings
    model: ModelSettings
    blocks: tuple[int, ...]
    """Numbers of the blocks that have a router, from 0."""
    documents: dict[str, int]
    """Number of held-out documents read, by source."""
    holding: dict[str, int]
    """Number of them that hold text, context images, targets, and items of other modalities."""
    clusters: int
    """Number of maps (or images, or texts): the units of the bootstrap."""
    positions: dict[str, int]
    """Number of positions of each of these kinds."""
    loads: tuple[Loads, ...]
    """Loads of each block; see :func:`chiasm.training.tally.load_values`."""
    dead: tuple[tuple[int, ...], ...]
    """Experts of each block that no position of any modality chose."""
    routed_experts: int
    specialisation: Specialisation | None
    tasks: Tasks | None
    spreads: dict[str, Spread]
    pairs: tuple[Pairs, ...]
    skipped: dict[str, str]
    """Section → reason why it could not be measured."""
    seconds: float


def refuse_dense(settings: ModelSettings) -> None:
    """Raises an error for a model without learned routing.

    Raises:
        UserError: such a model has none.
    """
    if settings.experts != "moe":
        raise settings.error(
            "experts",
            ": this run has no learned routing, and the atlas shows what routers learned",
            'train a run with "moe"',
        ).under("model")


def draw_atlas(
    pretrained: Pretrained,
    material: Material,
    settings: AtlasSettings | None = None,
    progress: ProgressCallback = lambda what, done, of: None,
) -> Atlas:
    """Returns what the routers learned, measured on held-out documents.

    The result is a function of the model, the data and the settings.

    Raises:
        UserError: the model has no learned routing.
    """
    model = pretrained.decoder.settings
    refuse_dense(model)
    began = time.monotonic()
    settings = settings or AtlasSettings()
    observed = observe(pretrained, material.held_out, settings, progress)
    return _Measuring(observed, settings).atlas(model, began)


class _Measuring:
    """Measures the sections of one atlas, and collects the reasons of missing ones."""

    def __init__(self, observed: Observation, settings: AtlasSettings) -> None:
        self._observed, self._settings = observed, settings
        self._skipped = {
            f"held-out documents of {name}": found for name, found in observed.passed_over.items()
        }

    def atlas(self, model: ModelSettings, began: float) -> Atlas:
        """Returns all sections."""
        observed = self._observed
        resamples = Resamples.draw(observed.cluster_D, self._settings.seed)
        special = measure_specialisation(observed, self._settings.cutoff, resamples)
        if special is None:
            self._skipped["specialisation"] = no_specialisation(observed)
        tasks = measure_tasks(observed, resamples)
        if tasks is None:
            self._skipped["understanding and generation"] = no_tasks(observed)
        pairs = measure_pairs(observed)
        if not pairs:
            self._skipped["experts chosen together"] = no_pairs()
        spreads = self._spreads(special)
        names, documents = np.unique(observed.source_D, return_counts=True)
        load_QXR = self._loads()
        positions_DG = observed.parts.positions_DG

        def by_part(number_G: np.ndarray) -> dict[str, int]:
            return dict(zip(observed.parts.groups, number_G.tolist(), strict=True))

        return Atlas(
            self._settings,
            model,
            blocks=tuple(range(model.moe.dense_blocks, model.depth)),
            documents={
                observed.source_names[name]: int(number)
                for name, number in zip(names, documents, strict=True)
            },
            holding=by_part((positions_DG > 0).sum(axis=0)),
            clusters=len(np.unique(observed.cluster_D)),
            positions=by_part(positions_DG.sum(axis=0)),
            loads=tuple(_block_loads(load_XR, observed.modalities) for load_XR in load_QXR),
            dead=tuple(
                tuple(np.flatnonzero(load_R == 0).tolist()) for load_R in load_QXR.sum(axis=1)
            ),
            routed_experts=load_QXR.shape[-1],
            specialisation=special,
            tasks=tasks,
            spreads=spreads,
            pairs=tuple(pairs),
            skipped=self._skipped,
            seconds=time.monotonic() - began,
        )

    def _loads(self) -> np.ndarray:
        """Returns the assignments of each modality: int64 [Q, X, R]."""
        observed, parts = self._observed, {"text": (TEXT,), VISION: (CONTEXT, TARGET)}
        others = [name for name in observed.modalities if name not in parts]
        parts |= {name: (OTHER + number,) for number, name in enumerate(others)}
        counts = [observed.counts(*parts[name]) for name in observed.modalities]
        return np.stack([count_DQR.sum(axis=0) for count_DQR in counts], axis=1)

    def _spreads(self, special: Specialisation | None) -> dict[str, Spread]:
        observed = self._observed
        noise = Cells.within_documents(observed.noise)
        cells = {
            "noise, all experts": noise,
            "text by source": self._by_source(TEXT),
            "vision by source": self._by_source(CONTEXT, TARGET),
            "text by place": Cells.within_documents(observed.document_places),
            "vision by place": Cells.within_documents(observed.image_places),
        }
        vision_QR = special.of_vision(self._settings.cutoff) if special is not None else None
        found = {name: self._spread(each) for name, each in cells.items()}
        if vision_QR is not None and vision_QR.any():
            found[NOISE] = self._spread(noise, vision_QR)
        elif found["noise, all experts"] is not None:
            self._skipped[SPREADS[NOISE]] = no_vision_experts(observed, special)
        for name in SPREADS:
            if found.get(name) is None and SPREADS[name] not in self._skipped:
                self._skipped[SPREADS[name]] = no_spread(observed, *POSITIONS[name])
        return {name: spread for name in SPREADS if (spread := found.get(name)) is not None}

    def _spread(self, cells: Cells, weight_QR: np.ndarray | None = None) -> Spread | None:
        return measure_spread(cells, self._observed.choices, self._settings.seed, weight_QR)

    def _by_source(self, *parts: int) -> Cells:
        observed = self._observed
        return Cells.of_documents(
            observed.source_names,
            observed.counts(*parts),
            observed.positions(*parts),
            observed.source_D,
        )


def _block_loads(load_XR: np.ndarray, modalities: Sequence[str]) -> Loads:
    """Returns one block's loads as the trainer logs them."""
    loads: Loads = {}
    for name, value in load_values(torch.from_numpy(load_XR[None]), modalities).items():
        _, measure, modality = name.split("/")
        loads.setdefault(modality, {})[measure] = value
    return loads
