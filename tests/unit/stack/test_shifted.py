"""Pictures unlike a model's own, made without an imaging library."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.errors import UsageError
from lab.stack import shifted

PIXELS = np.random.default_rng(7).integers(0, 256, (23, 17, 3)).astype(np.uint8)
SMOOTH = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 48, 3)).copy()


@pytest.mark.parametrize("pixels", [PIXELS, SMOOTH], ids=["noise", "a gradient"])
def test_a_png_of_pillows_is_read_to_the_same_pixels(
    tmp_path: Path, pixels: shifted.Pixels
) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    assert np.array_equal(shifted.read(path), pixels)


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_every_filter_of_png_is_undone(kind: int) -> None:
    above, line = PIXELS[0].tobytes(), PIXELS[1].tobytes()
    filtered = bytearray()
    for at, byte in enumerate(line):
        left = line[at - 3] if at >= 3 else 0
        corner = above[at - 3] if at >= 3 else 0
        up = above[at]
        estimate = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(estimate - value))
        guess = (0, left, up, (left + up) // 2, nearest)[kind]
        filtered.append((byte - guess) % 256)
    assert shifted._unfiltered(kind, bytes(filtered), above) == line


def test_what_is_written_is_read_by_pillow() -> None:
    with Image.open(io.BytesIO(shifted.write(PIXELS))) as image:
        assert np.array_equal(np.asarray(image), PIXELS)


def test_one_is_darker_and_the_other_flatter(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(shifted.write(SMOOTH))
    dark, flat = (Image.open(io.BytesIO(made)) for made in shifted.shifted([path, path]))
    assert np.asarray(dark).mean() < SMOOTH.mean() / 2
    assert np.asarray(flat).mean() == pytest.approx(SMOOTH.mean(), abs=2)
    assert np.asarray(flat).std() < SMOOTH.std() / 2


@pytest.mark.parametrize("mode", ["L", "RGBA", "not a picture"])
def test_other_pictures_are_refused_by_name(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "other.png"
    if mode == "not a picture":
        path.write_bytes(b"GIF89a")
    else:
        Image.new(mode, (4, 4)).save(path)
    with pytest.raises(UsageError, match=r"other\.png"):
        shifted.read(path)
