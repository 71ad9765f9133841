"""Decoding and encoding: exact where it is right, 4xx where it is not, never anything else."""

import io
import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from app import codec, npy
from app.card import Card
from app.errors import RequestError
from tests.docker.contract_client import PNG, WRONG, b64, bomb, encoded, instances, picture, pixels

CARD = Card("tiny", 4, 6, ("a", "b", "c"))
BIG = Card("big", 224, 224, ("a", "b", "c"))
DECODER = codec.Decoder(CARD, max_image_pixels=1_000_000, max_instances=5)
AS_TAKEN = 4 * 6
KINDS = ["image/jpeg", "image/png", "application/x-npy", "application/json"]


def saved(array: NDArray[Any], version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=True)
    return buffer.getvalue()


def some(count: int | None = None) -> NDArray[np.uint8]:
    shape = (4, 6, 3) if count is None else (count, 4, 6, 3)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_image_is_decoded_and_resized_exactly_as_in_training(kind: str) -> None:
    body = encoded(picture(5, (300, 200)), kind)
    training = Image.open(io.BytesIO(body)).convert("RGB").resize((6, 4), Image.Resampling.BILINEAR)
    assert DECODER.decode(f"image/{kind}", body) == (
        training.tobytes(),
        [(len(body), 300 * 200)],
    )


def test_an_image_of_the_models_size_is_not_touched() -> None:
    image = Image.fromarray(some())
    assert DECODER.decode("image/png", encoded(image, "png"))[0] == some().tobytes()


def test_how_a_camera_was_held_is_ignored_as_in_training() -> None:
    image = picture(0, (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    turned, plain = io.BytesIO(), io.BytesIO()
    image.save(turned, "jpeg", exif=exif)
    image.save(plain, "jpeg")
    kind = "image/jpeg"
    assert DECODER.decode(kind, turned.getvalue())[0] == DECODER.decode(kind, plain.getvalue())[0]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(
    "dtype", ["u1", "<u2", ">u2", "<i4", "<i8", ">u8", "<f4", ">f4", "<f8", ">f8"]
)
def test_arrays_of_any_plain_numbers_are_read_as_numpy_reads_them(
    version: tuple[int, int], dtype: str
) -> None:
    body = saved(some(2).astype(dtype), version)
    assert DECODER.decode("application/x-npy", body) == (
        some(2).tobytes(),
        [(len(body) // 2, AS_TAKEN)] * 2,
    )


def test_floats_are_rounded_to_the_nearest_and_halves_to_the_even() -> None:
    numbers = np.array([-0.4, 0.4, 0.5, 0.6, 1.5, 254.5, 255.4, 255.49] * 9).reshape(4, 6, 3)
    body, _ = DECODER.decode("application/x-npy", saved(numbers))
    assert body == np.rint(numbers).astype(np.uint8).tobytes()


@pytest.mark.parametrize("value", [-0.6, 255.6, 1e30, -1e30, np.nan, np.inf, -np.inf])
def test_a_number_that_is_no_pixel_is_refused(value: float) -> None:
    numbers = np.full((4, 6, 3), 7.0)
    numbers[3, 5, 2] = value
    with pytest.raises(RequestError, match="0 to 255") as caught:
        DECODER.decode("application/x-npy", saved(numbers))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(some()),
        np.array([{"a": 1}]),
        np.zeros((4, 6, 3), np.complex64),
        np.zeros((4, 6, 3), np.float16),
        np.zeros((4, 6, 3), np.bool_),
        np.zeros((4, 6, 3), [("x", "u1")]),
        np.zeros((4, 6)),
        np.zeros((6, 4, 3), np.uint8),
        np.zeros((1, 1, 4, 6, 3), np.uint8),
        np.uint8(1),
    ],
)
def test_other_arrays_are_refused_with_the_reason(array: NDArray[Any]) -> None:
    with pytest.raises(RequestError) as caught:
        DECODER.decode("application/x-npy", saved(np.asanyarray(array)))
    assert caught.value.status == 400


def test_an_array_file_cannot_run_code() -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("it ran",))

    with pytest.raises(RequestError):
        DECODER.decode("application/x-npy", saved(np.array([Hostile()], dtype=object)))


def test_what_is_written_is_read_by_numpy() -> None:
    numbers = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
    body = npy.write(numbers.tobytes(), 4, 3)
    assert body.index(b"\n") % 64 == 63
    np.testing.assert_array_equal(np.load(io.BytesIO(body), allow_pickle=False), numbers)


def test_instances_may_be_mixed() -> None:
    png = b64(encoded(Image.fromarray(some()), "png"))
    body = instances(png, {"b64": png}, some().tolist(), (some() + 0.25).tolist())
    pixels, sent = DECODER.decode("application/json", body)
    assert pixels == some().tobytes() * 4
    file, equal = len(encoded(Image.fromarray(some()), "png")), len(body) // 4
    assert sent == [(size, AS_TAKEN) for size in (file, file, equal, equal)]


def test_base64_may_be_broken_into_lines() -> None:
    text = b64(encoded(Image.fromarray(some()), "png"))
    broken = "\r\n".join(text[at : at + 20] for at in range(0, len(text), 20))
    assert DECODER.decode("application/json", instances(broken))[0] == some().tobytes()


def test_the_reason_names_the_instance() -> None:
    good = b64(PNG)
    with pytest.raises(RequestError, match=r"^instances\[2\]: Not base64"):
        DECODER.decode("application/json", instances(good, good, "*"))


def test_more_images_than_allowed_are_too_large() -> None:
    for kind, body in [
        ("application/x-npy", saved(some(6))),
        ("application/json", instances(*["x"] * 6)),
    ]:
        with pytest.raises(RequestError, match="6 images") as caught:
            DECODER.decode(kind, body)
        assert caught.value.status == 413


def test_a_bomb_is_refused_by_its_header_alone() -> None:
    with pytest.raises(RequestError, match="30000 x 30000"):
        DECODER.decode("image/png", bomb())


def test_a_jpeg_of_countless_scans_is_refused() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "jpeg", progressive=True)
    body = buffer.getvalue()
    assert len(DECODER.decode("image/jpeg", body)[1]) == 1
    start = body.index(b"\xff\xda")
    with pytest.raises(RequestError, match="too many scans"):
        DECODER.decode("image/jpeg", body[:start] + body[start:-2] * 100 + body[-2:])


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_400_with_a_reason(name: str) -> None:
    kind, body = WRONG[name]
    decoder = codec.Decoder(BIG, max_image_pixels=50_000_000, max_instances=5)
    with pytest.raises(RequestError) as caught:
        decoder.decode(kind, body)
    assert caught.value.status == 400
    assert "\n" not in caught.value.reason


@given(kind=st.sampled_from(KINDS), body=st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(kind: str, body: bytes) -> None:
    _decode_or_refuse(kind, body)


SEEDS = {
    "image/jpeg": encoded(picture(0, (20, 15)), "jpeg"),
    "image/png": encoded(picture(0, (20, 15)), "png"),
    "application/x-npy": saved(some(2)),
    "application/json": instances(b64(PNG[:200]), some().tolist()),
}


@settings(max_examples=4 * settings().max_examples)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_a_body_with_any_damage_is_decoded_or_refused(data: st.DataObject, kind: str) -> None:
    body = bytearray(SEEDS[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                body[at] = data.draw(st.integers(0, 255))
            case "cut":
                del body[at : at + data.draw(st.integers(0, 20))]
                body += b"\0" * (not body)
            case _:
                body[at:at] = data.draw(st.binary(max_size=8))
    begun = time.thread_time()
    _decode_or_refuse(kind, bytes(body))
    assert time.thread_time() - begun < 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)


@given(value=st.fixed_dictionaries({"instances": st.lists(JSON, max_size=4)}) | JSON)
def test_any_json_is_decoded_or_refused(value: object) -> None:
    _decode_or_refuse("application/json", json.dumps(value).encode())


def _decode_or_refuse(kind: str, body: bytes) -> None:
    """Anything but an answer or a ``RequestError`` fails the test by itself."""
    refused: RequestError | None = None
    try:
        pixels, sent = DECODER.decode(kind, body)
    except RequestError as error:
        refused = error
    if refused is None:
        assert len(pixels) == len(sent) * CARD.image_bytes
    else:
        assert refused.status in (400, 413)
        assert refused.reason


@given(accept=st.text(max_size=60))
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    try:
        kind, status = codec.answer_type(accept), 200
    except RequestError as error:
        kind, status = "", error.status
    assert (kind in codec.GIVEN, status) in [(True, 200), (False, 406)]


PROBABILITIES = np.array([[0.1, 0.7, 0.2], [1 / 3, 1 / 3, 0.5]], np.float32)


def test_json_holds_grade_label_and_numbers_that_are_exact() -> None:
    body, graded = codec.encode(
        "application/json", PROBABILITIES.tobytes(), CARD, prediction_s=0.0123456789
    )
    value = json.loads(body)
    assert graded == [(1, pytest.approx(0.7)), (2, 0.5)]
    assert [entry["label"] for entry in value["predictions"]] == ["b", "c"]
    assert (value["prediction_seconds"], value["model"]) == (0.012346, "tiny")
    given_back = np.array([entry["probabilities"] for entry in value["predictions"]], np.float32)
    np.testing.assert_array_equal(given_back, PROBABILITIES)


def test_csv_is_a_line_per_image() -> None:
    body, _ = codec.encode("text/csv", PROBABILITIES.tobytes(), CARD, prediction_s=1)
    assert body.decode().count("\n") == 2
    np.testing.assert_array_equal(
        np.loadtxt(io.BytesIO(body), delimiter=",", dtype=np.float32), PROBABILITIES
    )


def test_pixels_of_the_contract_are_what_numpy_has() -> None:
    assert pixels(picture()).shape == (224, 224, 3)
