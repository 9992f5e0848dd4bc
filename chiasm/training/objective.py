"""The objective: L = λ_text · cross-entropy + λ_flow · flow loss, and the price of uneven routing.

Each loss is a sum over the batch's targets and a count of them; only :meth:`Objective.total`
divides, by counts that the caller takes over all ranks and accumulation steps, so that the
average is never an average of averages.

Shape suffixes: N images, L latent tokens of all images (of target images only, where it says so),
C latent channels, U latent tokens of context images and A their channels where they have their own
tokenizer, R positions that predict a token, V vocabulary, D width, S sources, 10 noise bins; M
positions; Q blocks with a router, 2 = text and vision, E routed experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from chiasm.batch.latents import ImageLatents
from chiasm.batch.packed import Modality, PackedBatch
from chiasm.flow import FlowSettings, LossSpace, convert, default_shift, mix, shift_time
from chiasm.model import Decoder, DecoderInput, IntervalMask
from chiasm.model.elementwise import take_rows
from chiasm.model.router import Choice
from chiasm.training.noise import draw_noise, draw_times

NOISE_BINS = 10
"""The flow loss is also summed in this many equal bins of flow time."""


class ObjectiveSettings(FlowSettings):
    """What is predicted, how it is compared, and how much it weighs."""

    loss_space: LossSpace = "v"
    """In what prediction and truth are compared."""
    text_weight: float = Field(1.0, ge=0)
    """Weight of the mean cross-entropy, in nats per predicted token."""
    flow_weight: float = Field(3.0, ge=0)
    """Weight of the mean flow loss, squared error per channel."""
    balance_weight: float = Field(0.01, ge=0)
    """Weight of the routers' balance loss, mean over blocks; 1 where every expert is used alike."""
    router_z_weight: float = Field(0.0, ge=0)
    """Weight of the routers' z-loss, mean over blocks."""

    @property
    def flow(self) -> FlowSettings:
        """What a trained model keeps of these."""
        return FlowSettings(**{name: getattr(self, name) for name in FlowSettings.model_fields})


@dataclass(frozen=True)
class Counts:
    """What sums of losses are divided by."""

    text: Tensor | int
    """Positions that predict a token."""
    flow: Tensor | int
    """Latent tokens of target images."""
    positions: Tensor | int
    """Positions that are not padding."""

    @classmethod
    def of(cls, batches: Sequence[PackedBatch]) -> Counts:
        """Over all batches of a step."""
        return cls(
            sum(batch.num_text_targets for batch in batches),
            sum(batch.num_flow_targets for batch in batches),
            sum(batch.num_filled for batch in batches),
        )


@dataclass(frozen=True)
class Losses:
    """Sums and counts of one batch, on its device; add them over batches and ranks."""

    text_sum: Tensor
    """Cross-entropy in nats, summed over positions that predict a token; carries gradients."""
    flow_sum: Tensor
    """Squared error, mean over channels, summed over target latent tokens; carries gradients."""
    balance_sum: Tensor
    """Balance loss, mean over blocks, times the positions it was taken over; carries gradients."""
    router_z_sum: Tensor
    """The routers' z-loss, likewise."""
    text_count: Tensor
    """Positions that predict a token."""
    flow_count: Tensor
    """Latent tokens of target images."""
    position_count: Tensor
    """Positions that are not padding."""
    load_Q2E: Tensor
    """int64: assignments of text and of vision positions that each routed expert got."""
    text_sum_S: Tensor
    """``text_sum`` by source, detached like everything below."""
    text_count_S: Tensor
    flow_sum_S: Tensor
    flow_count_S: Tensor
    flow_sum_bins: Tensor
    """``flow_sum`` by flow time, in NOISE_BINS equal bins from noise to data."""
    flow_count_bins: Tensor

    def __add__(self, other: Losses) -> Losses:
        return Losses(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    @property
    def counts(self) -> Counts:
        """Its own counts."""
        return Counts(self.text_count, self.flow_count, self.position_count)

    def detach(self) -> Losses:
        """The same numbers without their gradients."""
        return Losses(**{f.name: getattr(self, f.name).detach() for f in fields(self)})


class Objective:
    """Computes :class:`Losses` of a decoder on packed batches."""

    def __init__(self, settings: ObjectiveSettings) -> None:
        self.settings = settings

    def flow_times(self, batch: PackedBatch, seed: int, channels: int) -> Tensor:
        """One flow time per image, float32 [N]: drawn and shifted; context images exactly 1."""
        time_N = draw_times(batch, seed, self.settings.time_distribution)
        if self.settings.shift is not None:
            time_N = shift_time(time_N, self.settings.shift)
        else:
            alphas = [default_shift(tokens, channels) for tokens in batch.images.tokens_N.tolist()]
            time_N = shift_time(time_N, torch.tensor(alphas, device=time_N.device))
        return _context_at_one(batch, time_N)

    def losses(
        self,
        decoder: Decoder,
        batch: PackedBatch,
        latents: ImageLatents,
        seed: int,
        time_N: Tensor | None = None,
    ) -> Losses:
        """Noise the target images with draws keyed by ``seed``, and sum the losses.

        Args:
            decoder: the model, on the batch's device.
            batch: packed rows.
            latents: clean, of all images of the batch.
            seed: of noise and flow times.
            time_N: float [N], flow times of the images where they are not to be drawn, as in
                validation at fixed noise levels; context images stay at 1 all the same.
        """
        channels = latents.z_LC.shape[1]
        if time_N is None:
            time_N = self.flow_times(batch, seed, channels)
        noise_LC = draw_noise(batch, seed, channels)
        return self.losses_at(decoder, batch, latents, noise_LC, time_N)

    def losses_at(
        self,
        decoder: Decoder,
        batch: PackedBatch,
        latents: ImageLatents,
        noise_LC: Tensor,
        time_N: Tensor,
    ) -> Losses:
        """The losses at given noise and flow times; one forward pass."""
        time_N = _context_at_one(batch, time_N)
        time_L = time_N[batch.images.image_L]
        z_LC = latents.z_LC
        path = Path(z_LC, noise_LC, mix(z_LC, noise_LC, time_L), time_L)
        inputs = DecoderInput.from_batch(batch, latents.at(path.z_t_LC), time_N)
        x_BTD, choices = decoder.trace(inputs, IntervalMask.from_batch(batch))
        x_MD = x_BTD.flatten(0, 1)
        target_L = batch.images.target_G
        text_loss_R = _text_loss(decoder, batch, x_MD)
        rows_LD = take_rows(x_MD, batch.latent_position_L[target_L])
        flow_loss_L = self._flow_loss(decoder.latent_output(rows_LD).float(), path.at(target_L))
        routing = _routing_sums(batch, choices)
        return _assemble(batch, text_loss_R, flow_loss_L, target_L, path.time_L[target_L], routing)

    def total(self, losses: Losses, counts: Counts) -> Tensor:
        """The loss to differentiate; counts are global, over all ranks and accumulation steps.

        The routers' losses are not linear in positions: each batch has its own, and they are
        averaged by positions.
        """
        settings = self.settings
        text = losses.text_sum / _at_least_one(counts.text)
        flow = losses.flow_sum / _at_least_one(counts.flow)
        total = settings.text_weight * text + settings.flow_weight * flow
        if not losses.load_Q2E.numel():
            return total
        balance = losses.balance_sum / _at_least_one(counts.positions)
        router_z = losses.router_z_sum / _at_least_one(counts.positions)
        return total + settings.balance_weight * balance + settings.router_z_weight * router_z

    def _flow_loss(self, output_LC: Tensor, path: Path) -> Tensor:
        """Squared error of each latent token, mean over channels: float32 [L]."""
        given, wanted = self.settings.prediction, self.settings.loss_space
        predicted_LC = convert(output_LC, path.z_t_LC, path.time_L, given=given, wanted=wanted)
        # Truth and prediction take the same road into the loss space, so a perfect prediction
        # costs nothing even where the denominator is clamped.
        known: LossSpace = "v" if given == "preconditioned" else given
        truth_LC = {"x": path.z_LC, "v": path.z_LC - path.noise_LC, "epsilon": path.noise_LC}[known]
        wanted_LC = convert(truth_LC, path.z_t_LC, path.time_L, given=known, wanted=wanted)
        return (predicted_LC - wanted_LC).square().mean(dim=-1)


@dataclass(frozen=True)
class Path:
    """Where each latent token stands between noise and data."""

    z_LC: Tensor
    noise_LC: Tensor
    z_t_LC: Tensor
    time_L: Tensor

    def at(self, chosen_L: Tensor) -> Path:
        """The chosen latent tokens only."""
        return Path(*(getattr(self, f.name).index_select(0, chosen_L) for f in fields(self)))


def _context_at_one(batch: PackedBatch, time_N: Tensor) -> Tensor:
    return torch.where(batch.images.target_N, time_N, torch.ones_like(time_N))


def _text_loss(decoder: Decoder, batch: PackedBatch, x_MD: Tensor) -> Tensor:
    """Cross-entropy of each predicted token: float32 [R]."""
    logits_RV = decoder.text_logits(take_rows(x_MD, batch.text_position_R))
    label_R = batch.label_BT.flatten()[batch.text_position_R]
    return F.cross_entropy(logits_RV.float(), label_R, reduction="none")


def _at_least_one(count: Tensor | int) -> Tensor | int:
    """A batch without targets has a sum of 0, whatever it is divided by."""
    return count.clamp_min(1) if isinstance(count, Tensor) else max(count, 1)


def _assemble(
    batch: PackedBatch,
    text_loss_R: Tensor,
    flow_loss_L: Tensor,
    target_L: Tensor,
    time_L: Tensor,
    routing: tuple[Tensor, Tensor, Tensor],
) -> Losses:
    num_sources = len(batch.source_names)
    balance_sum, router_z_sum, load_Q2E = routing
    text_source_R = batch.source_BT.flatten()[batch.text_position_R]
    flow_source_L = batch.images.source_N[batch.images.image_L[target_L]]
    bin_L = (time_L * NOISE_BINS).long().clamp(0, NOISE_BINS - 1)
    text_sum_S, text_count_S = _sums(text_loss_R, text_source_R, num_sources)
    flow_sum_S, flow_count_S = _sums(flow_loss_L, flow_source_L, num_sources)
    flow_sum_bins, flow_count_bins = _sums(flow_loss_L, bin_L, NOISE_BINS)
    return Losses(
        text_sum=text_loss_R.sum(),
        flow_sum=flow_loss_L.sum(),
        text_count=text_count_S.sum(),
        flow_count=flow_count_S.sum(),
        balance_sum=balance_sum,
        router_z_sum=router_z_sum,
        position_count=(batch.modality_BT != Modality.PADDING).sum(),
        load_Q2E=load_Q2E,
        text_sum_S=text_sum_S,
        text_count_S=text_count_S,
        flow_sum_S=flow_sum_S,
        flow_count_S=flow_count_S,
        flow_sum_bins=flow_sum_bins,
        flow_count_bins=flow_count_bins,
    )


def _routing_sums(batch: PackedBatch, choices: Sequence[Choice]) -> tuple[Tensor, Tensor, Tensor]:
    """Balance loss and z-loss, each mean over blocks times positions, and every expert's load."""
    modality_M = batch.modality_BT.flatten()
    if not choices:
        zero = torch.zeros((), device=modality_M.device)
        return zero, zero, torch.zeros(0, 2, 0, dtype=torch.int64, device=modality_M.device)
    filled_M = modality_M != Modality.PADDING
    balance = torch.stack([choice.balance_loss(filled_M) for choice in choices]).mean()
    router_z = torch.stack([choice.z_loss(filled_M) for choice in choices]).mean()
    load_Q2E = torch.stack([choice.load(modality_M) for choice in choices])
    return balance * filled_M.sum(), router_z * filled_M.sum(), load_Q2E


def _sums(loss: Tensor, group: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Sum (float64) and count (int64) of detached losses by group."""
    zero = loss.new_zeros(num_groups, dtype=torch.float64)
    count = torch.zeros(num_groups, dtype=torch.int64, device=loss.device)
    return (
        zero.index_add(0, group, loss.detach().double()),
        count.index_add(0, group, torch.ones_like(group)),
    )
