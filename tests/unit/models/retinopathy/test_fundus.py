import numpy as np
import pytest

from models.retinopathy.data import lesion_cells
from models.retinopathy.fundus import GRADES, draw
from models.retinopathy.lesions import Lesion
from tests.timing import quickest


def kinds(grade: int) -> set[Lesion]:
    return {spot.kind for seed in range(6) for spot in draw(grade, seed).spots}


@pytest.mark.parametrize("grade", range(GRADES))
def test_the_same_seed_draws_the_same_bytes_and_another_seed_does_not(grade: int) -> None:
    first, again, other = draw(grade, 7), draw(grade, 7), draw(grade, 8)

    assert np.array_equal(first.image, again.image)
    assert first.spots == again.spots
    assert not np.array_equal(first.image, other.image)


def test_lesions_grow_with_the_grade() -> None:
    assert kinds(0) == set()
    assert kinds(1) == {Lesion.MICROANEURYSM}
    assert kinds(2) == {Lesion.MICROANEURYSM, Lesion.HAEMORRHAGE, Lesion.EXUDATE}
    assert kinds(3) == kinds(2) | {Lesion.COTTON_WOOL}
    assert kinds(4) >= kinds(2) | {Lesion.NEW_VESSELS}


def test_severe_eyes_bleed_more_than_moderate_ones() -> None:
    def bleedings(grade: int) -> list[int]:
        return [
            sum(spot.kind is Lesion.HAEMORRHAGE for spot in draw(grade, seed).spots)
            for seed in range(8)
        ]

    assert max(bleedings(2)) < min(bleedings(3))


def test_a_picture_is_a_bright_retina_in_a_dark_frame() -> None:
    image = draw(0, 3).image

    assert image.shape == (224, 224, 3)
    assert image.dtype == np.uint8
    assert image[:6, :6].max() < 30
    red, green, blue = image[90:130, 90:130].reshape(-1, 3).mean(axis=0)
    assert red > green > blue
    assert red > 80


def test_left_and_right_eyes_are_both_drawn() -> None:
    sides = set()
    for seed in range(12):
        columns = draw(0, seed).image[:, :, 1].astype(int).max(axis=0)
        sides.add(bool(columns[:112].max() > columns[112:].max()))  # where the optic disc is

    assert sides == {True, False}


def test_any_size_can_be_drawn() -> None:
    assert draw(2, 1, 512).image.shape == (512, 512, 3)


def test_a_haemorrhage_darkens_its_place() -> None:
    drawing = draw(3, 5)
    for spot in drawing.spots:
        if spot.kind is Lesion.HAEMORRHAGE and spot.radius > 0.05:
            column, row = (int((at + 1) * 112) for at in (spot.x, spot.y))
            assert drawing.image[row, column, 1] < np.median(drawing.image[60:160, 60:160, 1])


def test_cells_know_which_lesions_they_hold_and_amounts_add_up() -> None:
    drawing = draw(3, 2)
    cells = lesion_cells(drawing)

    assert cells.shape == (7, 7, 2, len(Lesion))
    assert lesion_cells(draw(0, 2)).sum() == 0
    for kind in Lesion:
        count = sum(spot.kind is kind for spot in drawing.spots)
        assert cells[..., 1, kind].sum() == pytest.approx(count, abs=1e-3)
        assert (cells[..., 0, kind] > 0).any() == (count > 0)


def test_drawing_is_quick() -> None:
    def twenty() -> None:
        for seed in range(20):
            draw(seed % GRADES, seed)

    assert quickest(twenty, times=2) / 20 < 0.2  # about 0.01 s on a quiet machine
