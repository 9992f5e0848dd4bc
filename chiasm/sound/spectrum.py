"""The short-time Fourier transform with as many spectra as hops, and its inverse.

Spectrum k is that of ``4 · hop`` samples under a Hann window around the middle of hop k; the sound
is silent around its ends. Magnitudes are those of sines: one of amplitude 1 has a peak of 1.

Shape suffixes: B sounds, T samples, F spectra (T / hop), W samples of a window, K frequencies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

OVERLAP = 4
"""Windows that each sample lies in."""


class Spectrum(nn.Module):
    """The transform of one window and hop."""

    window_W: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop, self.size = hop, OVERLAP * hop
        window = torch.hann_window(self.size, dtype=torch.float64)
        self.register_buffer("window_W", window.float(), persistent=False)

    @property
    def num_frequencies(self) -> int:
        """K."""
        return self.size // 2 + 1

    def forward(self, x_BT: Tensor) -> Tensor:
        """Returns complex spectra [B, F, K]."""
        margin = (self.size - self.hop) // 2
        padded = functional.pad(x_BT, (margin, self.size - self.hop - margin))
        frames_BFW = padded.unfold(1, self.size, self.hop) * self.window_W
        return torch.fft.rfft(frames_BFW) * (2 / self.window_W.sum())

    def inverse(self, spectra_BFK: Tensor) -> Tensor:
        """Returns the sounds [B, T] whose spectra are nearest, by least squares."""
        frames_BFW = torch.fft.irfft(spectra_BFK * (self.window_W.sum() / 2), n=self.size)
        weighted = self._added(frames_BFW * self.window_W)
        ones_1FW = torch.ones_like(frames_BFW[:1]) * self.window_W.square()
        return weighted / self._added(ones_1FW).clamp(min=1e-3)

    def _added(self, frames_BFW: Tensor) -> Tensor:
        """Returns frames added where they overlap, without the margins."""
        length = frames_BFW.shape[1] * self.hop
        size, hop = self.size, self.hop
        added = functional.fold(
            frames_BFW.mT, (1, length + size - hop), kernel_size=(1, size), stride=(1, hop)
        )
        margin = (size - hop) // 2
        return added[:, 0, 0, margin : margin + length]
