import torch

from chiasm.training.speed import peak_flops_per_second


def test_the_peak_is_measured_once_and_leaves_random_state_alone() -> None:
    before = torch.get_rng_state()
    peak = peak_flops_per_second(torch.device("cpu"), torch.float32)
    assert peak > 1e8
    assert peak_flops_per_second(torch.device("cpu"), torch.float32) == peak
    assert torch.equal(torch.get_rng_state(), before)
