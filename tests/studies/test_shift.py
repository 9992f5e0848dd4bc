"""Distances of texts: none to itself, whole to strangers, in between for mixtures."""

from chiasm.studies.shift import distances

CORPUS = [f"the room {number % 7} has a wall of brick, grass below" for number in range(40)]
OTHER = [f"lambda expressions {number % 5} yield function objects" for number in range(40)]


def test_the_order_is_right():
    half = [*CORPUS[:20], *OTHER[:20]]
    found = {d.text: d for d in distances(CORPUS, {"other": OTHER, "half": half, "same": CORPUS})}
    assert abs(found["same"].value) < 1e-6
    assert found["same"].value < found["half"].value < found["other"].value
    assert found["other"].value > 0.9
    assert found["corpus, half against half"].value < 0.05
    assert all(0 <= d.standard_error < 0.1 for d in found.values())


def test_it_is_a_function_of_the_texts():
    assert distances(CORPUS, {"other": OTHER}) == distances(CORPUS, {"other": OTHER})
