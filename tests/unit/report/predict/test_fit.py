"""The fit: it finds constants that are there, and none below zero."""

import numpy as np
import pytest

from lab.report.predict import equations
from lab.report.predict.constants import Constant, value, vector
from lab.report.predict.fit import fit
from lab.report.predict.work import Work

SMALL = Work(
    start_s=2.7, load_s=0.4, first_s=0.3, more_s=0.04, inference_s=0.04, fetch_s=0.1, chunks=1300
)
LARGE = Work(
    start_s=4.4, load_s=0.4, first_s=0.3, more_s=0.04, inference_s=0.04, fetch_s=0.1, chunks=1900
)
TRUTH = vector(
    {
        Constant.PLACING: 1.5,
        Constant.CHUNK: 0.0004,
        Constant.SPEED: 2.0,
        Constant.LOADER: 11.0,
        Constant.INFERENCE: 1.7,
        Constant.HANDLING: 0.03,
        Constant.NETWORK: 0.27,
    }
)
SIZES = (1024, 2048, 3072)
FACTORS = [
    *(equations.cold(work, mb) for mb in SIZES for work in (SMALL, LARGE)),
    *(equations.setup(SMALL, mb) for mb in SIZES),
    *(equations.first_prediction(SMALL, mb) for mb in SIZES),
    *(equations.warm_prediction(SMALL, mb) for mb in SIZES),
    *(equations.warm(SMALL, mb) for mb in SIZES),
]


def test_constants_that_made_the_figures_are_found_again() -> None:
    found = fit(FACTORS, [float(one @ TRUTH) for one in FACTORS])
    assert found == pytest.approx(TRUTH, rel=1e-6)


def test_no_constant_is_below_zero_and_the_others_make_up_for_it() -> None:
    cheaper = TRUTH.copy()
    cheaper[1] = -0.0002  # More chunks, less time: no link does that.
    seconds = [float(one @ cheaper) for one in FACTORS]
    found = fit(FACTORS, seconds)
    assert value(found, Constant.CHUNK) == 0.0
    assert (found >= 0).all()
    rows = np.array(FACTORS) / np.array(seconds)[:, None]
    best = float(np.sum((rows @ found - 1) ** 2))
    for place in range(1, len(found)):
        for step in (0.99, 1.01):
            moved = found.copy()
            moved[place] *= step
            assert float(np.sum((rows @ moved - 1) ** 2)) >= best
    nudged = found.copy()
    nudged[1] = 1e-5
    assert float(np.sum((rows @ nudged - 1) ** 2)) > best


def test_what_a_measurement_does_not_tell_stays_as_it_was() -> None:
    slower = TRUTH.copy()
    slower[6] = 0.10  # Another way to the region.
    own = [equations.own_warm(SMALL, 2048), equations.own_warm_prediction(SMALL, longer=1.0)]
    found = fit(own, [float(one @ slower) for one in own], held_at=TRUTH)
    assert value(found, Constant.NETWORK) == pytest.approx(0.10, rel=0.05)
    assert value(found, Constant.PLACING) == pytest.approx(1.5)
    assert value(found, Constant.LOADER) == pytest.approx(11.0)


def test_memory_beyond_a_processor_shortens_an_inference_and_no_start() -> None:
    start = [float(equations.cold(SMALL, mb) @ TRUTH) for mb in SIZES]
    warm = [float(equations.warm_prediction(SMALL, mb) @ TRUTH) for mb in SIZES]
    assert start[0] > start[1] == start[2]
    assert warm[0] > warm[1] > warm[2]


def test_a_cold_request_is_its_parts() -> None:
    parts = equations.setup(SMALL, 1024) + equations.first_prediction(SMALL, 1024)
    whole = equations.cold(SMALL, 1024)
    assert float((whole - parts) @ TRUTH) == pytest.approx(1.5)
    # By hand, at 1769 / 1024 of the time: chunks, archive, start; load, inference, handling.
    longer = 1769 / 1024
    by_hand = (1300 * 0.0004 + 2.0 * (0.1 + 2.7 * longer)) + (
        11.0 * 0.4 + 1.7 * 0.3 + 0.03
    ) * longer
    assert float(parts @ TRUTH) == pytest.approx(by_hand)
