"""The parametric law comes back from its own losses, by both ways of fitting it."""

import numpy as np
import pytest

from chiasm.scaling.law import Cost, fit_huber, fit_projection


def arrays(points, modality="text"):
    return (
        np.array([p.active_parameters for p in points]),
        np.array([p.tokens for p in points]),
        np.array([[p.losses[modality] for p in points]]),
    )


@pytest.mark.parametrize("fit", [fit_huber, fit_projection])
@pytest.mark.parametrize("modality", ["text", "vision"])
def test_exact_losses_give_the_law_back(table, text_law, vision_law, fit, modality):
    truth = {"text": text_law, "vision": vision_law}[modality]
    sizes, tokens, losses = arrays(table(noise=0.0), modality)
    law = fit(sizes, tokens, losses)
    assert float(law.alpha_R[0]) == pytest.approx(truth.alpha, rel=1e-3)
    assert float(law.beta_R[0]) == pytest.approx(truth.beta, rel=1e-3)
    floor, a, b = (float(value[0]) for value in law.constants())
    assert (floor, a, b) == pytest.approx((truth.floor, truth.a, truth.b), rel=2e-2)
    assert law.loss(sizes, tokens) == pytest.approx(losses, rel=1e-5)


def test_the_optimum_is_where_the_loss_is_lowest(table, text_law):
    law = fit_projection(*arrays(table(noise=0.0)))
    cost = Cost(kappa=6.0, gamma=1.0, deviation=0.0)
    best = float(law.optimal_sizes(np.array([1e19]), cost)[0, 0])
    assert best == pytest.approx(text_law.optimum(1e19), rel=1e-2)
    steep = Cost(kappa=0.5, gamma=1.15, deviation=0.0)
    best = float(law.optimal_sizes(np.array([1e19]), steep)[0, 0])
    near = best * np.array([0.98, 1.0, 1.02])
    assert law.loss(near, steep.tokens(np.array(1e19), near))[0].argmin() == 1


def test_one_wild_run_does_not_move_the_huber_fit(table, text_law):
    sizes, tokens, losses = arrays(table(noise=0.0005))
    losses[0, 7] *= 1.3
    error = [
        abs(float(law.beta_R[0] / (law.alpha_R[0] + law.beta_R[0])) - text_law.size_exponent)
        for law in (fit_huber(sizes, tokens, losses), fit_projection(sizes, tokens, losses))
    ]
    assert error[0] < 0.005 < error[1]


def test_a_term_that_the_losses_do_not_show_is_never_negative(table):
    sizes, tokens, _ = arrays(table())
    law = fit_projection(sizes, tokens, (2.0 + 300 * sizes**-0.4)[None])
    assert min(float(value[0]) for value in law.constants()) >= 0
    assert np.isfinite(law.loss(sizes, tokens)).all()


def test_many_tables_are_fitted_as_each_alone(table):
    points = [table(seed=seed) for seed in range(3)]
    sizes, tokens, _ = arrays(points[0])
    losses = np.concatenate([arrays(own)[2] for own in points])
    together = fit_projection(sizes, tokens, losses)
    for number in range(3):
        alone = fit_projection(sizes, tokens, losses[number : number + 1])
        assert together.numbers_RP[number] == pytest.approx(alone.numbers_RP[0], rel=1e-2)


def test_the_cost_of_a_token_is_read_from_the_runs():
    sizes = np.geomspace(1e5, 1e7, 6)
    cost = Cost.of(sizes, np.full(6, 2e6), 3.0 * sizes**1.1 * 2e6)
    assert (cost.kappa, cost.gamma) == pytest.approx((3.0, 1.1))
    assert cost.deviation < 1e-9
