"""The article's numbers for its own routers (arXiv 2603.03276, section 6.2).

Its model: 16 blocks, 254 routed experts and one shared expert of each modality, 16 for every
position, 1 T tokens. Its cut-offs between the classes are not published.
"""

from __future__ import annotations

ARTICLE = "arXiv 2603.03276"

EXPERTS = 254

TEXT = (174, 177, 198, 186, 187, 185, 172, 176, 174, 168, 151, 155, 146, 149, 158, 138)
"""Text experts of each block; read off a figure, exact to ±1, like the two below."""

MULTIMODAL = (50, 29, 24, 39, 38, 34, 44, 45, 36, 46, 60, 55, 54, 53, 37, 60)

VISION = (30, 48, 32, 29, 29, 35, 38, 33, 44, 40, 43, 44, 54, 52, 59, 56)

NOISE_VARIATION = 0.15
"""Coefficient of variation of vision experts over ten bins of flow time, about, in all blocks."""

LEAST_CORRELATION = 0.90
"""Correlation between understanding and generation that every block exceeds."""
