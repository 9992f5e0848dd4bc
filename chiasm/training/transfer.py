"""Weights of a trained model that another one begins with.

Shape suffixes: P places along an axis, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.errors import UserError
from chiasm.model.decoder import Decoder
from chiasm.ranks import part_of

GROWING = ("token_embedding", "text_head.weight")
"""Tables with a row for each token: a larger vocabulary keeps its first rows."""


@torch.no_grad()
def take_weights(decoder: Decoder, trained: Decoder, tell: Callable[[str], None]) -> None:
    """Gives the decoder what a trained one has of its parameters and buffers, by their names.

    Parts that the trained one lacks keep their first weights, and so do rows of tokens beyond its
    vocabulary, and of places beyond its own. Learned places of an item are stretched to its grid,
    linearly. All ranks call it.

    Raises:
        UserError: a part has another shape.
    """
    there, new = trained.state_dict(), []
    stretched = dict(_stretched(decoder, trained))
    for name, own in decoder.state_dict().items():
        taken = stretched.get(name, there.get(name))
        if taken is None:
            new.append(name)
            continue
        if taken.shape != own.shape:
            rows, more = taken.shape[0], own.shape[0]
            grows = name in GROWING or name.startswith("place_embedding.")
            if not grows or rows > more or taken.shape[1:] != own.shape[1:]:
                raise UserError(
                    f"has {name} of shape {[*taken.shape]}, and this model one of {[*own.shape]}",
                    setting="model",
                    remedy="give the model the shape of the one that it begins with",
                )
            whole = getattr(own, "full_tensor", lambda own=own: own)().cpu()
            taken = torch.cat((taken, whole[rows:]))
        own.copy_(part_of(own, taken))
    taken_over = len(decoder.state_dict()) - len(new)
    tell(f"initialize.model: {taken_over} tensors are those of the trained model")
    unused = [name for name in there if name not in decoder.state_dict()]
    for what, names in (("begins with first weights of", new), ("leaves out", unused)):
        if names:
            tell(f"initialize.model: it {what} {', '.join(names)}")


def _stretched(decoder: Decoder, trained: Decoder) -> Iterator[tuple[str, Tensor]]:
    """Yields tables of places of items, stretched where their grid differs, by their names."""
    for shape in decoder.shapes:
        if shape.name not in trained.shapes.names:
            continue
        embedding, before = (own.place_embedding[shape.name] for own in (decoder, trained))
        if not (embedding.learned and before.learned):
            continue
        grids = zip(embedding.axes, trained.shapes[shape.name].grid, shape.grid, strict=True)
        for axis, there, now in grids:
            table_PD, size = before.get_parameter(axis), len(embedding.get_parameter(axis))
            first_PD: Tensor = table_PD[:there]
            if there != now:
                learned_1DP = first_PD.T.unsqueeze(0)
                first_PD = F.interpolate(learned_1DP, now, mode="linear", align_corners=True)[0].T
            taken_PD = torch.cat((first_PD, table_PD[now:]))[:size]
            yield f"place_embedding.{shape.name}.{axis}", taken_PD
