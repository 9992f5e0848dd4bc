"""Items that were encoded before are not encoded again."""

import torch

from chiasm.tokenizers.memory import LatentMemory


class Counting:
    """Encodes an item as its sum and its negative, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, items_B: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(items_B))
        total_B = items_B.flatten(1).float().sum(1)
        return torch.stack((total_B, -total_B), dim=1).unsqueeze(-1)


def items(*values: int) -> torch.Tensor:
    """Items [B, 3, 2, 2] whose memory lies as that of pictures [B, 2, 2, 3]."""
    return torch.stack([torch.full((2, 2, 3), value) for value in values]).permute(0, 3, 1, 2)


def test_every_item_is_encoded_once_and_given_in_its_place() -> None:
    memory, encode = LatentMemory(most_bytes=1000), Counting()
    for values in ((1, 2, 1), (2, 3), (3, 1)):
        found_BPC = memory.encode(items(*values), encode)
        assert torch.equal(found_BPC, Counting()(items(*values)))
    assert encode.asked == [2, 1]


def test_the_oldest_go_first() -> None:
    memory, encode = LatentMemory(most_bytes=16), Counting()  # of two items
    memory.encode(items(1, 2, 3), encode)
    memory.encode(items(2, 3), encode)
    assert encode.asked == [3]
    memory.encode(items(1), encode)
    assert encode.asked == [3, 1]


def test_other_shapes_and_types_are_other_items() -> None:
    memory, encode = LatentMemory(most_bytes=1000), Counting()
    zeros = torch.zeros(1, 8, dtype=torch.uint8)
    others = (zeros.view(1, 2, 4), zeros.view(torch.int8), zeros.view(torch.int64))
    for each in (zeros, *others):
        memory.encode(each, encode)
    assert encode.asked == [1] * 4
