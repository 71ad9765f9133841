"""What int8 must not lose, and what it must not be calibrated with."""

import numpy as np
import pytest

from models.retinopathy import gate


def test_a_model_that_loses_a_hundredth_of_kappa_passes() -> None:
    gate.gate(0.98, 0.9701)


def test_a_model_that_loses_more_is_refused_with_both_figures() -> None:
    with pytest.raises(SystemExit, match=r"0\.9600, and 0\.9800 before"):
        gate.gate(0.98, 0.96)


def test_images_that_were_prepared_otherwise_are_refused_by_what_differs() -> None:
    rng = np.random.default_rng(1)
    eyes = rng.integers(60, 120, (8, 6, 6, 3), np.uint8)
    gate.refuse_unlike(eyes, eyes[::-1])
    with pytest.raises(SystemExit, match="brightness"):
        gate.refuse_unlike(eyes // 4, eyes)
    flat = np.full_like(eyes, 90)
    striped = flat.copy()
    striped[:, ::2] = 10
    striped[:, 1::2] = 170
    with pytest.raises(SystemExit, match="contrast"):
        gate.refuse_unlike(striped, flat)


def test_all_that_agree_are_still_not_sure_to_agree_for_ever() -> None:
    found = gate.agreement(200, 200)
    assert (found["value"], found["high"], found["n"]) == (1.0, 1.0, 200)
    assert found["low"] == pytest.approx(0.9812, abs=1e-4)
