import torch

from chiasm.vision.learning.adversary import Adversary, PatchDiscriminator, adaptive_weight, hinge
from chiasm.vision.learning.settings import AdversarialSettings


def pictures(seed: int) -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def losses(step: int, adversary: Adversary, scale: torch.Tensor):
    drawn = pictures(0) * scale
    reconstruction = (drawn - pictures(1)).abs().mean()
    return adversary.losses(drawn, pictures(1), reconstruction, scale, step)


def test_the_terms_begin_at_their_steps() -> None:
    adversary = Adversary(AdversarialSettings(weight=0.5, start_step=110, width=8))
    scale = torch.ones(1, requires_grad=True)
    assert losses(9, adversary, scale).terms.keys() == set()
    assert losses(10, adversary, scale).terms.keys() == {"discriminator"}
    assert losses(109, adversary, scale).terms.keys() == {"discriminator"}
    assert losses(110, adversary, scale).terms.keys() == {"discriminator", "adversarial"}
    assert losses(110, adversary, scale).measures.keys() == {"adversarial_weight"}


def test_each_side_is_moved_by_its_own_term_alone() -> None:
    adversary = Adversary(AdversarialSettings(weight=0.5, start_step=0, width=8))
    scale = torch.ones(1, requires_grad=True)
    terms = losses(0, adversary, scale).terms
    terms["adversarial"].backward()
    assert scale.grad is not None
    assert scale.grad.abs() > 0
    assert all(p.grad is None for p in adversary.parameters())
    scale.grad = None
    terms["discriminator"].backward()
    assert scale.grad is None
    assert all(p.grad is not None for p in adversary.parameters())


def test_the_adaptive_weight_makes_gradients_equally_long() -> None:
    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    reconstruction, adversarial = (features @ weight.T).abs().mean(), (features @ weight.T).sum()
    found = adaptive_weight(reconstruction, adversarial, weight)
    assert not found.requires_grad

    lengths = []
    for loss in (reconstruction, adversarial):
        weight.grad = None
        loss.backward(retain_graph=True)
        assert weight.grad is not None
        lengths.append(weight.grad.square().sum().sqrt())
    torch.testing.assert_close(found, lengths[0] / (lengths[1] + 1e-4))


def test_without_an_adversarial_gradient_the_weight_stays_finite() -> None:
    weight = torch.ones(1, requires_grad=True)
    assert float(adaptive_weight(weight.sum() * 1e6, weight.sum() * 0, weight)) == 1e4


def test_hinge_against_the_formula() -> None:
    true, drawn = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.5])
    torch.testing.assert_close(
        hinge(true, drawn), torch.tensor(((0 + 0.5 + 2) / 3 + (0 + 1.5) / 2) / 2)
    )


def test_the_discriminator_judges_patches_and_learns_to() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(8)
    assert discriminator(torch.zeros(2, 3, 64, 64)).shape == (2, 1, 8, 8)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        loss = hinge(discriminator(pictures(1)), discriminator(pictures(0) * 0.5))
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3
