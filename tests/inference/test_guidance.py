"""The guidance formula."""

import torch

from chiasm.inference.guidance import guided


def test_scales() -> None:
    conditional, unconditional = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(guided(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(guided(conditional, unconditional, 0.0), unconditional)
    torch.testing.assert_close(
        guided(conditional, unconditional, 3.0), 3 * conditional - 2 * unconditional
    )
