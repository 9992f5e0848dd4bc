"""The attention block that encoders and decoders of images share.

Shape suffixes: B images, P tokens of one image, D width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class AttentionBlock(nn.Module):
    """Pre-norm self-attention and a two-layer perceptron over the tokens of one image."""

    def __init__(self, width: int, head_width: int = 32, expansion: int = 2) -> None:
        super().__init__()
        self.heads = max(1, width // head_width)
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.from_heads = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Linear(expansion * width, width),
        )

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Returns the tokens [B, P, D] after full attention within each image."""
        queries, keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.to_qkv(self.norm(x_BPD)).chunk(3, dim=-1)
        )
        read = functional.scaled_dot_product_attention(queries, keys, values)
        x_BPD = x_BPD + self.from_heads(read.transpose(1, 2).flatten(2))
        return x_BPD + self.perceptron(x_BPD)
