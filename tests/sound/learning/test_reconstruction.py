import torch

from chiasm.sound.learning.reconstruction import SpectralLoss


def test_the_loss_hears_loudness_and_pitch_and_no_phase() -> None:
    time = torch.arange(4000) / 8000
    tone, turned, higher = (
        torch.sin(2 * torch.pi * hertz * time + phase)[None]
        for hertz, phase in ((440, 0.0), (440, 1.0), (500, 0.0))
    )
    loss = SpectralLoss(100)

    def total(made: torch.Tensor) -> float:
        return float(sum(loss(made, tone).values()))

    assert total(tone) < 1e-3
    assert total(turned) < 0.3 * total(0.5 * tone)
    assert total(0.5 * tone) < total(higher)


def test_gradients_are_finite_in_silence() -> None:
    made = torch.zeros(2, 999, requires_grad=True)
    sum(SpectralLoss(50)(made, torch.zeros(2, 999)).values()).backward()
    assert made.grad.isfinite().all()
