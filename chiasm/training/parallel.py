"""How the weights of a decoder lie on the ranks; applied to the model from outside, in this order:

1. experts: each rank of a group keeps as many of every block's routed experts, and rows travel to
   them (:mod:`chiasm.model.exchange`);
2. activation checkpointing and compilation, which the trainer asks the decoder for: both act inside
   a block's ``forward``, so that what follows lies around them;
3. shards: weights, gradients and the optimizer's state are split over ranks (FSDP2, arXiv
   2304.11277), and copied where there are more ranks than shards;
4. the first weights, drawn by name: before the split where each rank has room for all of them,
   else after it, each rank its part.

Losses are sums over a global count of targets, so that gradients of ranks are summed and never
averaged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from chiasm.model.decoder import Decoder
from chiasm.model.exchange import ExchangedRouting
from chiasm.model.experts import MixtureOfExperts
from chiasm.model.initialize import initialize
from chiasm.ranks import Ranks, own_part, reshard
from chiasm.training.settings import ParallelSettings
from chiasm.training.shared_memory import SharedSums, fits

if TYPE_CHECKING:
    from torch.distributed import DeviceMesh, ProcessGroup

BUCKET = 2**22
"""Numbers of gradients that are summed by one message, where ranks hold copies of weights."""


class Copied(NamedTuple):
    """Weights that each rank of a group has whole."""

    parameters: Sequence[nn.Parameter]
    group: ProcessGroup | None
    """None: all ranks."""
    memory: SharedSums | None = None
    """What all ranks see, if they are on one machine."""

    def sum_gradients(self) -> None:
        """Sums their gradients over the group, in place."""
        import torch.distributed as dist

        grads = [own_part(each.grad) for each in self.parameters if each.grad is not None]
        if self.memory is not None:
            self.memory.sum_in_place(grads)
            return
        for bucket in _buckets(grads):
            flat = torch.cat([grad.flatten() for grad in bucket])
            dist.all_reduce(flat, group=self.group)
            parts = flat.split([grad.numel() for grad in bucket])
            for grad, part in zip(bucket, parts, strict=True):
                grad.copy_(part.view_as(grad))


class Placement(NamedTuple):
    """What a training step has to do for weights that lie on several ranks."""

    copied: Sequence[Copied] = ()

    def sum_gradients(self) -> None:
        """After the backward passes of a step; shards have summed theirs already."""
        for each in self.copied:
            each.sum_gradients()


WHOLE = Placement()
"""Of one process."""


@contextmanager
def without_memory(
    ranks: Ranks, settings: ParallelSettings, device: torch.device
) -> Iterator[None]:
    """Matrices and tables of a model that is built inside get no memory, where it will be split."""
    if settings.shards(ranks.local_size, device.type) == 1:
        yield
        return
    with _Unallocated():
        yield


class _Unallocated(TorchFunctionMode):
    """What is not filled when it is made is made on the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return func(*args, **kwargs | ({"device": "meta"} if func is torch.empty else {}))


def parallelize(
    decoder: Decoder,
    ranks: Ranks,
    settings: ParallelSettings,
    device: torch.device,
    *,
    compute_dtype: torch.dtype,
    seed: int,
) -> Placement:
    """Splits the decoder over the ranks, in place, and moves it to the device.

    ``seed`` is of its first weights, where it has none yet.
    """
    if decoder.device.type not in ("meta", device.type):
        decoder.to(device)
    if ranks.size == 1:
        return WHOLE
    from torch.distributed.device_mesh import init_device_mesh

    by_expert, degree = None, settings.expert_ranks
    shards = settings.shards(ranks.local_size, device.type)
    if degree > 1:
        size, names = (ranks.size // degree, degree), ("expert_replicas", "experts")
        by_expert = init_device_mesh(device.type, size, mesh_dim_names=names)
        _spread_experts(decoder, by_expert["experts"])
    if shards == 1:
        return _copied(decoder, by_expert, ranks)
    size = (ranks.size // shards, shards)
    mesh = init_device_mesh(device.type, size, mesh_dim_names=("replicas", "shards"))
    _shard(decoder, mesh if size[0] > 1 else mesh["shards"], by_expert, compute_dtype)
    if decoder.device.type == "meta":
        decoder._apply(lambda own: torch.empty_like(own, device=device) if own.is_meta else own)
        initialize(decoder, decoder.settings, seed)
    return WHOLE


def refuse_misfit(decoder: Decoder, ranks: Ranks, settings: ParallelSettings) -> None:
    """Refuses degrees that do not divide what they share.

    Raises:
        UserError: they do not.
    """
    if ranks.size == 1:  # which has all to itself, whatever is asked of several
        return
    for name, value in (("shards", settings.shard_ranks), ("experts", settings.expert_ranks)):
        if isinstance(value, int) and ranks.size % value:
            raise settings.error(
                f"{name[:-1]}_ranks",
                f"does not divide the {ranks.size} ranks that torchrun started",
                "choose a divisor, or start other ranks",
            )
    if settings.expert_ranks == 1:
        return
    if not (mixtures := decoder.mixtures()):
        raise settings.error(
            "expert_ranks", "needs routed experts, and the model has none", "set it to 1"
        )
    if mixtures[0].num_routed % settings.expert_ranks:
        raise settings.error(
            "expert_ranks",
            f"does not divide the {mixtures[0].num_routed} routed experts of a block",
            "choose a divisor, or another moe.num_experts",
        )


def _spread_experts(decoder: Decoder, mesh: DeviceMesh) -> None:
    """Leaves each rank its part of the routed experts of every block."""
    from torch.distributed.tensor import DTensor, Shard

    for mixture in decoder.mixtures():
        for name in ("gate_up", "down"):
            weight = getattr(mixture, name)
            part = weight.detach().chunk(mesh.size())[mesh.get_local_rank()].clone()
            split = DTensor.from_local(part, mesh, [Shard(0)], run_check=False)
            setattr(mixture, name, nn.Parameter(split))
        mixture.route = partial(ExchangedRouting.by_expert, group=mesh.get_group())


def _copied(decoder: Decoder, by_expert: DeviceMesh | None, ranks: Ranks) -> Placement:
    whole = [own for own in decoder.parameters() if not hasattr(own, "to_local")]
    numbers = sum(own.numel() for own in whole)
    shared = decoder.device.type == "cpu" and fits(ranks, numbers)
    copied = [Copied(whole, None, SharedSums(ranks, numbers) if shared else None)]
    if by_expert is not None and by_expert["expert_replicas"].size() > 1:
        parts = [own for own in decoder.parameters() if hasattr(own, "to_local")]
        copied.append(Copied(parts, by_expert["expert_replicas"].get_group()))
    return Placement(copied)


def _shard(
    decoder: Decoder, mesh: DeviceMesh, by_expert: DeviceMesh | None, compute_dtype: torch.dtype
) -> None:
    from torch.distributed.fsdp import (
        FSDPModule,
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )
    from torch.distributed.tensor import Shard

    narrow = compute_dtype if compute_dtype != torch.float32 else None
    policy = MixedPrecisionPolicy(
        param_dtype=narrow, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    split: Callable[..., Any] = partial(
        fully_shard,
        # The first dimension of weights of each modality or expert is short.
        shard_placement_fn=lambda weight: Shard(1) if weight.ndim == 3 else None,
    )
    spread = {own for own in decoder.parameters() if hasattr(own, "to_local")}
    for block in decoder.blocks:
        if isinstance(mixture := block.experts, MixtureOfExperts):
            split(mixture.router, mesh=mesh)  # whose scores are float32 whatever the rest is
            if mixture.shared is not None:
                split(mixture.shared, mesh=mesh, mp_policy=policy)
            if by_expert is not None and by_expert["expert_replicas"].size() > 1:
                split(mixture, mesh=by_expert["expert_replicas"], mp_policy=policy)
                spread -= {mixture.gate_up, mixture.down}
        split(block, mesh=mesh, mp_policy=policy, ignored_params=spread)
    # The heads read their weights after the pass, which therefore keeps them.
    split(decoder, mesh=mesh, mp_policy=policy, ignored_params=spread, reshard_after_forward=False)
    for module in decoder.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    register_fsdp_forward_method(decoder, "forward_with_routing")
    # torch warns of outputs that are views: nothing here changes one in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yields neighbours of one type, together at most :data:`BUCKET` numbers or one tensor."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(each.numel() for each in (*bucket, tensor)) > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def whole_weights(decoder: Decoder, ranks: Ranks) -> dict[str, Tensor]:
    """Returns all weights on the CPU of the first rank, put together one by one; elsewhere none.

    All ranks must call it.
    """
    reshard(decoder)
    found = {}
    for name, tensor in decoder.state_dict().items():
        whole = getattr(tensor, "full_tensor", lambda tensor=tensor: tensor)()
        if ranks.is_first:
            found[name] = whole.detach().cpu()
    return found
