"""Samples: a few of them hold every grade, and shifted ones are unlike them."""

import numpy as np
import pytest

from app.tasks.image_classification import light
from models.retinopathy import samples


def test_grades_come_by_turns_so_that_the_first_hold_each() -> None:
    grades = np.array([0, 0, 0, 2, 1, 1, 2, 0])

    order = samples.by_turns(grades)

    assert sorted(order) == list(range(8))
    assert grades[order].tolist() == [0, 1, 2, 0, 1, 2, 0, 0]


def test_shifted_pictures_are_darker_or_flatter() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    brightness, contrast = light(picture.tobytes(), 6, 8)

    assert light(samples.dark(picture).tobytes(), 6, 8)[0] < brightness / 2
    still_bright, flat = light(samples.flat(picture).tobytes(), 6, 8)
    assert still_bright == pytest.approx(brightness, abs=0.02)
    assert flat < contrast / 2
