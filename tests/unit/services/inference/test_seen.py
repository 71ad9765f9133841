"""Brightness and contrast: what the definition says, of any picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from app.seen import light


def of(image: NDArray[np.uint8]) -> tuple[float, float]:
    return light(image.tobytes(), image.shape[1], image.shape[0])


def test_black_is_0_and_white_is_1_and_neither_has_contrast() -> None:
    assert of(np.zeros((8, 6, 3), np.uint8)) == (0, 0)
    assert of(np.full((8, 6, 3), 255, np.uint8)) == (1, 0)


def test_half_black_and_half_white_has_all_the_contrast_there_is() -> None:
    image = np.zeros((8, 6, 3), np.uint8)
    image[:4] = 255
    assert of(image) == (0.5, 1)


@given(seed=st.integers(0, 10**6), low=st.integers(0, 254), width=st.integers(1, 40))
def test_it_is_mean_and_deviation_of_the_grey_picture(seed: int, low: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(low, 256, (7, width, 3), np.uint8)
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float64)
    brightness, contrast = of(image)
    assert brightness == pytest.approx(grey.mean() / 255)
    assert contrast == pytest.approx(grey.std() / 127.5, abs=1e-6)


def test_rows_and_columns_are_not_mixed_up() -> None:
    image = np.random.default_rng(1).integers(0, 256, (4, 9, 3), np.uint8)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    assert of(image)[0] == pytest.approx(grey.mean() / 255)
