"""Which layers of an encoder its features are read from, and how several become one.

One layer of a vision model keeps what it was trained for; lower ones keep more of the pixels. Sums
of the last K layers reconstruct better at the same number of channels (RAEv2, arXiv 2605.18324).

Shape suffixes: B images, P cells, D width, C channels of the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

if TYPE_CHECKING:
    from torch import Tensor

Layer = Annotated[int, Field(ge=0)]
Layers = Layer | tuple[Layer, ...] | Annotated[str, Field(pattern=r"^last [1-9]\d*$")]
"""One layer by its number, a list of them, or ``"last K"``. Layer n is the output of n blocks, and
0 is what enters the first."""

LayerJoin = Literal["sum", "concatenate"]


def numbers_of(layers: Layers | None, depth: int) -> tuple[int, ...]:
    """Returns the numbers of the layers of an encoder of ``depth`` blocks; None: the last one.

    Raises:
        ValueError: there are no such layers, or one is named twice.
    """
    if isinstance(layers, str):
        count = int(layers.removeprefix("last "))
        chosen = tuple(range(depth - count + 1, depth + 1))
    elif isinstance(layers, int):
        chosen = (layers,)
    else:
        chosen = (depth,) if layers is None else tuple(layers)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"name each of the layers 0 to {depth} at most once, and at least one")
    if min(chosen) < 0 or max(chosen) > depth:
        raise ValueError(f"choose among 0 (before the first block) to {depth}")
    return chosen


def channels_of(layers: Sequence[int], join: LayerJoin, width: int) -> int:
    """Returns C of features of these layers, each D wide."""
    return width * len(layers) if join == "concatenate" else width


def joined(outputs_BPD: Sequence[Tensor], join: LayerJoin, eps: float) -> Tensor:
    """Returns features [B, P, C] of layers' outputs, each normed over its channels.

    Deep layers have longer outputs than the first ones. Without the norm, a sum would be that of
    the last alone.
    """
    import torch
    from torch.nn import functional

    normed = [functional.layer_norm(x_BPD, x_BPD.shape[-1:], eps=eps) for x_BPD in outputs_BPD]
    if join == "concatenate":
        return torch.cat(normed, dim=-1)
    return torch.stack(normed).sum(dim=0) / len(normed) ** 0.5


def name_of(layers: Sequence[int], join: LayerJoin) -> str:
    """Returns what the features are called, as "layer 3" or "layers 2, 3 (sum)"."""
    listed = ", ".join(map(str, layers))
    return f"layer {listed}" if len(layers) == 1 else f"layers {listed} ({join})"


def with_names_of_now(described: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a stored description, whose ``layer``, one number or none before there were several,
    has today's name.
    """
    now = dict(described)
    if (layer := now.pop("layer", None)) is not None:
        now["layers"] = layer
    return now


def described(layers: Sequence[int], join: LayerJoin) -> dict[str, Any]:
    """Returns the settings that choose these layers again."""
    return {"layers": list(layers), "layer_join": join}
