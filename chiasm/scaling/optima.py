"""Power laws refitted to published optima.

A table of optima has the columns ``modality``, ``budget_flops``, ``optimal_parameters`` and
``optimal_tokens``; ``model`` tells several apart, ``uncertainty`` (relative, of reading) and
``note`` are for the reader only. The paper's own (arXiv 2603.03276, section 7) come with the
package as ``paper-dense`` and ``paper-moe``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chiasm.errors import UserError
from chiasm.scaling.fit import Fit, ModalityFit
from chiasm.scaling.frontier import Frontier, fit_power_law
from chiasm.scaling.law import Array
from chiasm.scaling.points import read_rows

PAPER = Path(__file__).parent / "published" / "paper-optima.csv"
PAPER_MODELS = {"paper-dense": "dense", "paper-moe": "moe"}

COLUMNS = ("modality", "budget_flops", "optimal_parameters", "optimal_tokens")

Optima = Mapping[str, tuple[Array, Array, Array]]
"""Modality → budgets, sizes and tokens."""


def read_optima(path: Path, model: str = "") -> Optima:
    """Returns a table of optima; ``model`` chooses its rows where the table has several.

    Raises:
        UserError: unreadable, a column missing, or fewer than three budgets of a modality.
    """
    rows = read_rows(path)
    absent = [name for name in COLUMNS if name not in rows[0]]
    if absent:
        raise UserError(f"{path} has no column {absent[0]}; a table of optima needs it")
    rows = [row for row in rows if not model or row.get("model") == model]
    if len({row.get("model", "") for row in rows}) > 1:
        raise UserError(f"{path} holds optima of several models; fit each from its own table")
    optima: dict[str, tuple[Array, Array, Array]] = {}
    for modality in dict.fromkeys(row["modality"] for row in rows):
        own = [row for row in rows if row["modality"] == modality]
        try:
            table = np.array([[float(row[name]) for name in COLUMNS[1:]] for row in own])
        except ValueError as error:
            raise UserError(f"{path}: {error}; optima are numbers") from error
        if not (np.isfinite(table).all() and (table > 0).all()):
            raise UserError(f"{path}: an optimum of {modality} is not a positive number")
        if len(np.unique(table[:, 0])) < 3 or len(np.unique(table[:, 0])) < len(table):
            raise UserError(f"{path}: {modality} needs three or more optima, one for each budget")
        optima[modality] = (table[:, 0], table[:, 1], table[:, 2])
    return optima


def paper_optima(name: str) -> Optima:
    """Returns the paper's plotted optima: ``paper-dense`` or ``paper-moe``."""
    return read_optima(PAPER, PAPER_MODELS[name])


def fit_optima(optima: Optima, *, source: str = "", resamples: int = 1000, seed: int = 0) -> Fit:
    """Returns the power laws of published optima, as a fit."""
    random = np.random.default_rng(seed)
    modalities = {}
    for name, columns in optima.items():
        told = tuple(zip(*(column.tolist() for column in columns), strict=True))
        estimates = {"optima": _frontier(*columns, resamples, random)}
        modalities[name] = ModalityFit((), estimates, {}, optima=told)
    budgets = np.concatenate([own[0] for own in optima.values()])
    compute = float(budgets.min()), float(budgets.max())
    return Fit(source, modalities, flags=(), compute=compute)


def _frontier(
    budgets: Array, sizes: Array, tokens: Array, resamples: int, random: np.random.Generator
) -> Frontier:
    """Returns the ordinary least squares fit through one modality's optima.

    All optima weigh the same: their scatter about the line is several times what reading them off a
    figure can explain. The resamples draw both exponents and levels from the t distribution of the
    fit, N and D with the correlation of their residuals, modalities independently.
    """
    freedom = len(budgets) - 2
    laws = [fit_power_law(budgets, values) for values in (sizes, tokens)]
    told = [np.array([law.at(budget) for budget in budgets]) for law in laws]
    residual = np.log(np.stack([sizes, tokens]) / np.stack(told))
    spread = np.log(budgets / laws[0].c0)
    slope_scale, level_scale = 1 / np.sqrt(spread @ spread), 1 / np.sqrt(len(budgets))
    draws = random.standard_normal((2, resamples, 2)) @ _root(residual @ residual.T / freedom).T
    draws /= np.sqrt(random.chisquare(freedom, (1, resamples, 1)) / freedom)
    numbers = np.array([[law.exponent, law.level] for law in laws])
    samples = numbers + np.stack([draws[0] * slope_scale, draws[1] * level_scale], axis=-1)
    return Frontier(
        "optima",
        laws[0].c0,
        numbers.reshape(4),
        samples.reshape(-1, 4),
        errors=(laws[0].exponent_se, laws[1].exponent_se),
    )


def _root(covariance: Array) -> Array:
    """Returns a matrix L with L·Lᵀ the covariance, also where that has no full rank."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))
