import pytest
import torch

from chiasm.flow import convert, default_shift, mix, shift_time, velocity

SPACES = ("x", "v", "epsilon")


@pytest.fixture
def path():
    """Latents, noise and times well inside (0.05, 0.95), where nothing is clamped."""
    z, noise, time = torch.randn(50, 4), torch.randn(50, 4), torch.rand(50) * 0.88 + 0.06
    return z, noise, time, mix(z, noise, time)


def test_the_path_runs_from_noise_to_data():
    z, noise = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(mix(z, noise, torch.zeros(3)), noise)
    assert torch.equal(mix(z, noise, torch.ones(3)), z)


@pytest.mark.parametrize("given", SPACES)
@pytest.mark.parametrize("wanted", SPACES)
def test_each_space_gives_the_others(path, given, wanted):
    z, noise, time, z_t = path
    truth = {"x": z, "v": z - noise, "epsilon": noise}
    converted = convert(truth[given], z_t, time, given=given, wanted=wanted)
    torch.testing.assert_close(converted, truth[wanted], atol=2e-5, rtol=2e-5)


def test_denominators_are_clamped():
    z_t, x = torch.zeros(2, 1), torch.ones(2, 1)
    assert velocity(x, z_t, torch.tensor([0.9, 0.99]), "x").squeeze().tolist() == pytest.approx(
        [10.0, 20.0], rel=1e-5
    )
    assert velocity(x, z_t, torch.tensor([0.1, 0.01]), "epsilon").squeeze().tolist() == (
        pytest.approx([-10.0, -20.0], rel=1e-5)
    )


def test_the_shift_keeps_the_ends_and_moves_towards_noise():
    time = torch.linspace(0, 1, 11)
    shifted = shift_time(time, 4.0)
    assert shifted[0] == 0
    assert shifted[-1] == 1
    assert (shifted[1:-1] < time[1:-1]).all()
    torch.testing.assert_close(shifted[5], torch.tensor(0.5 / (0.5 + 4 * 0.5)))
    torch.testing.assert_close(shift_time(time, 1.0), time)


def test_the_default_shift_never_favours_clean_images():
    assert default_shift(16, 64) == 1.0  # the square root is 0.5
    assert default_shift(256, 768) == pytest.approx(6.9282, abs=1e-4)  # RAE's own figure


def test_a_preconditioned_output_has_unit_variance_and_turns_from_data_to_noise():
    """F in v = (2t - 1)/s² · z_t + F/s, solved from the truth."""
    z, noise = torch.randn(20_000, 2), torch.randn(20_000, 2)
    for t in (0.0, 0.3, 0.8, 1.0):
        time = torch.full((20_000,), t)
        z_t, square = mix(z, noise, time), t**2 + (1 - t) ** 2
        output = square**0.5 * (z - noise - (2 * t - 1) / square * z_t)
        back = velocity(output, z_t, time, "preconditioned")
        torch.testing.assert_close(back, z - noise, atol=1e-4, rtol=1e-4)
        assert float(output.std()) == pytest.approx(1.0, abs=0.03)
        # Nothing linear in z_t is left for the network.
        assert abs(float((output * z_t).mean())) < 0.03
        if t in (0.0, 1.0):
            expected = z if t == 0.0 else -noise
            torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)
