from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.retinopathy.data import Pictures, aptos, drawn, grades_drawn, prepare, split, take
from models.retinopathy.fundus import draw


def competition(folder: Path, *, size: int = 224) -> Path:
    (folder / "train_images").mkdir(parents=True)
    rows = ["id_code,diagnosis"]
    for index in range(10):
        grade = index % 5
        name = f"eye{index}"
        rows.append(f"{name},{grade}")
        Image.fromarray(draw(grade, index, size).image).save(
            folder / "train_images" / f"{name}.png"
        )
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_competitions_images_are_read_with_their_grades(tmp_path: Path) -> None:
    pictures = aptos(competition(tmp_path / "aptos"))

    assert pictures.images.shape == (10, 224, 224, 3)
    assert pictures.grades.tolist() == [0, 1, 2, 3, 4] * 2
    assert pictures.cells is None


def test_filtered_images_of_the_right_size_are_taken_as_they_are(tmp_path: Path) -> None:
    competition(tmp_path)

    assert np.array_equal(prepare(tmp_path / "train_images" / "eye3.png"), draw(3, 3).image)


def test_photographs_are_cropped_made_small_and_filtered_to_grey(tmp_path: Path) -> None:
    canvas = np.zeros((400, 900, 3), np.uint8)
    canvas[:, 250:650] = draw(0, 1, 400).image
    Image.fromarray(canvas).save(tmp_path / "photo.jpg")

    prepared = prepare(tmp_path / "photo.jpg")

    assert prepared.shape == (224, 224, 3)
    assert prepared.mean() == pytest.approx(128, abs=12)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    folder = competition(tmp_path)
    (folder / "train_images" / "eye4.png").unlink()

    with pytest.raises(FileNotFoundError, match=r"1 of 10 .*eye4"):
        aptos(folder)


def test_drawings_do_not_depend_on_how_many_are_drawn() -> None:
    few, more = drawn(range(5), first_seed=1), drawn(range(10), first_seed=1)

    assert np.array_equal(few.images, more.images[:5])
    assert more.grades.tolist() == grades_drawn(10).tolist() == [0, 1, 2, 3, 4] * 2


def test_a_split_holds_out_a_share_of_every_grade_and_no_picture_twice() -> None:
    grades = np.repeat(np.arange(5), 20)
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    pictures = Pictures(images=images, grades=grades, cells=None)

    learn, held_out = (take(pictures, some) for some in split(grades, 0.25, seed=3))

    assert np.bincount(held_out.grades).tolist() == [5] * 5
    together = np.concatenate([learn.images, held_out.images]).ravel()
    assert sorted(together.tolist()) == list(range(100))
    assert split(grades, 0.25, seed=3)[1] == held_out.images.ravel().tolist()
