"""A fit as one JSON file, with its resamples, so that forecasts keep their intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.intervals import LEVEL, known
from chiasm.scaling.fit import Fit, ModalityFit
from chiasm.scaling.flags import Flag, Kind
from chiasm.scaling.frontier import Frontier
from chiasm.scaling.law import Cost
from chiasm.scaling.parabola import Parabola
from chiasm.scaling.residuals import Outliers
from chiasm.scaling.runs import SizeMeasure

KIND = "chiasm scaling fit"


def write_fit(fit: Fit, path: Path) -> None:
    """Writes a fit; :func:`read_fit` reads back what a forecast and a figure need."""
    content = {
        "kind": KIND,
        "source": fit.source,
        "interval": LEVEL,
        "size": fit.size,
        "compute": fit.compute,
        "cost": fit.cost,
        "parameters_cost": fit.parameters_cost,
        "summary": _summary(fit),
        "flags": fit.flags,
        "modalities": fit.modalities,
    }
    path.write_text(json.dumps(_plain(content), separators=(",", ":")) + "\n")


def _summary(fit: Fit) -> dict[str, Any]:
    """Returns exponents, gaps and outliers: the small part for tables and pages."""
    exponents = {
        name: {
            method: {
                "a": estimate.size_exponent,
                "b": estimate.token_exponent,
                "law": estimate.constants or None,
            }
            for method, estimate in own.estimates.items()
        }
        for name, own in fit.modalities.items()
    }
    gaps = [
        {"method": method, "of": first, "minus": other, **number.to_json()}
        for (method, first, other), number in fit.gaps().items()
    ]
    outliers = {
        name: {"cells": own.outliers.cells, "without them": own.outliers.exponents}
        for name, own in fit.modalities.items()
        if own.outliers is not None
    }
    return {"exponents": exponents, "gaps": gaps, "outliers": outliers}


def read_fit(path: Path) -> Fit:
    """Returns the fit that :func:`write_fit` wrote.

    Raises:
        UserError: missing, or not such a file.
    """
    try:
        content = json.loads(path.read_text())
        if content["kind"] != KIND:
            raise KeyError(content["kind"])
        cost, parameters_cost = (
            Cost(**content[name]) if content[name] else None for name in ("cost", "parameters_cost")
        )
        modalities = {
            name: ModalityFit(
                parabolas=tuple(_parabola(parabola) for parabola in own["parabolas"]),
                estimates={
                    method: Frontier.from_json(value, cost)
                    for method, value in own["estimates"].items()
                },
                refusals=own["refusals"],
                left_out={
                    method: {float(budget): error for budget, error in errors.items()}
                    for method, errors in own["left_out"].items()
                },
                optima=tuple((budget, size, tokens) for budget, size, tokens in own["optima"]),
                parabola_bias=own["parabola_bias"] and tuple(own["parabola_bias"]),
                outliers=_outliers(own["outliers"]),
            )
            for name, own in content["modalities"].items()
        }
        flags = tuple(_flag(flag) for flag in content["flags"])
        low, high = content["compute"]
        size = SizeMeasure(content["size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no fit that can be read; give the fit.json that chiasm scaling fit wrote"
        ) from error
    return Fit(content["source"], modalities, flags, (low, high), size, cost, parameters_cost)


def _flag(content: dict[str, Any]) -> Flag:
    return Flag(**{**content, "kind": Kind(content["kind"]), "methods": tuple(content["methods"])})


def _outliers(content: dict[str, Any] | None) -> Outliers | None:
    if content is None:
        return None
    return Outliers(tuple(content["cells"]), tuple(content["deviations"]), content["exponents"])


def _parabola(content: dict[str, Any]) -> Parabola:
    tuples = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
    unknown = {name: math.nan for name in ("spread", "scatter") if content[name] is None}
    return Parabola(**{**content, **tuples, **unknown})


def _plain(value: Any) -> Any:
    """Returns nested values with null for what is not finite: JSON has neither nan nor infinity."""
    if hasattr(value, "to_json"):
        return _plain(value.to_json())
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return known(value) if isinstance(value, float) else value
