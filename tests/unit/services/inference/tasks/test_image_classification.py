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

from app import card, npy
from app.errors import RequestError, StartError
from app.settings import Settings
from app.tasks import Batch, fit
from app.tasks.image_classification import ImageClassification, light
from tests.docker.contract_client import PNG, WRONG, b64, bomb, encoded, instances, picture, pixels
from tests.unit.services.inference import tiny


def task(height: int, width: int, **env: str) -> ImageClassification:
    image = {"name": "image", "dtype": "uint8", "shape": [None, height, width, 3]}
    numbers = {"name": "probabilities", "dtype": "float32", "shape": [None, 3]}
    described = {
        "schema": 2,
        "name": "tiny",
        "task": "image-classification",
        "inputs": [image],
        "outputs": [numbers],
        "labels": ["a", "b", "c"],
    }
    return ImageClassification(card.card(described), Settings({"LAB_MAX_INSTANCES": "5", **env}))


TASK = task(4, 6, LAB_MAX_IMAGE_PIXELS="1000000")


def decode(kind: str, body: bytes) -> tuple[bytes, list[tuple[float, float]]]:
    """The pixels, and each image's bytes and pixels as sent."""
    batch = TASK.decode(kind, body)
    ((shape, pixels),) = batch.tensors
    assert shape == (batch.count, 4, 6, 3)
    return pixels, [(one["bytes"], one["pixels"]) for one in batch.noted]


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
    assert decode(f"image/{kind}", body) == (
        training.tobytes(),
        [(len(body), 300 * 200)],
    )


def test_an_image_of_the_models_size_is_not_touched() -> None:
    image = Image.fromarray(some())
    assert decode("image/png", encoded(image, "png"))[0] == some().tobytes()


def test_how_a_camera_was_held_is_ignored_as_in_training() -> None:
    image = picture(0, (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    turned, plain = io.BytesIO(), io.BytesIO()
    image.save(turned, "jpeg", exif=exif)
    image.save(plain, "jpeg")
    kind = "image/jpeg"
    assert decode(kind, turned.getvalue())[0] == decode(kind, plain.getvalue())[0]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(
    "dtype", ["u1", "<u2", ">u2", "<i4", "<i8", ">u8", "<f4", ">f4", "<f8", ">f8"]
)
def test_arrays_of_any_plain_numbers_are_read_as_numpy_reads_them(
    version: tuple[int, int], dtype: str
) -> None:
    body = saved(some(2).astype(dtype), version)
    assert decode("application/x-npy", body) == (
        some(2).tobytes(),
        [(len(body) // 2, AS_TAKEN)] * 2,
    )


def test_floats_are_rounded_to_the_nearest_and_halves_to_the_even() -> None:
    numbers = np.array([-0.4, 0.4, 0.5, 0.6, 1.5, 254.5, 255.4, 255.49] * 9).reshape(4, 6, 3)
    body, _ = decode("application/x-npy", saved(numbers))
    assert body == np.rint(numbers).astype(np.uint8).tobytes()


@pytest.mark.parametrize("value", [-0.6, 255.6, 1e30, -1e30, np.nan, np.inf, -np.inf])
def test_a_number_that_is_no_pixel_is_refused(value: float) -> None:
    numbers = np.full((4, 6, 3), 7.0)
    numbers[3, 5, 2] = value
    with pytest.raises(RequestError, match="0 to 255") as caught:
        decode("application/x-npy", saved(numbers))
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
        decode("application/x-npy", saved(np.asanyarray(array)))
    assert caught.value.status == 400


def test_an_array_file_cannot_run_code() -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("it ran",))

    with pytest.raises(RequestError):
        decode("application/x-npy", saved(np.array([Hostile()], dtype=object)))


def test_what_is_written_is_read_by_numpy() -> None:
    numbers = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
    body = npy.write(numbers.tobytes(), 4, 3)
    assert body.index(b"\n") % 64 == 63
    np.testing.assert_array_equal(np.load(io.BytesIO(body), allow_pickle=False), numbers)


def test_instances_may_be_mixed() -> None:
    png = b64(encoded(Image.fromarray(some()), "png"))
    body = instances(png, {"b64": png}, some().tolist(), (some() + 0.25).tolist())
    pixels, sent = decode("application/json", body)
    assert pixels == some().tobytes() * 4
    file, equal = len(encoded(Image.fromarray(some()), "png")), len(body) // 4
    assert sent == [(size, AS_TAKEN) for size in (file, file, equal, equal)]


def test_base64_may_be_broken_into_lines() -> None:
    text = b64(encoded(Image.fromarray(some()), "png"))
    broken = "\r\n".join(text[at : at + 20] for at in range(0, len(text), 20))
    assert decode("application/json", instances(broken))[0] == some().tobytes()


def test_the_reason_names_the_instance() -> None:
    good = b64(PNG)
    with pytest.raises(RequestError, match=r"^instances\[2\]: Not base64"):
        decode("application/json", instances(good, good, "*"))


def test_more_images_than_allowed_are_too_large() -> None:
    for kind, body in [
        ("application/x-npy", saved(some(6))),
        ("application/json", instances(*["x"] * 6)),
    ]:
        with pytest.raises(RequestError, match="6 images") as caught:
            decode(kind, body)
        assert caught.value.status == 413


def test_a_bomb_is_refused_by_its_header_alone() -> None:
    with pytest.raises(RequestError, match="30000 x 30000"):
        decode("image/png", bomb())


def test_a_jpeg_of_countless_scans_is_refused() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "jpeg", progressive=True)
    body = buffer.getvalue()
    assert len(decode("image/jpeg", body)[1]) == 1
    start = body.index(b"\xff\xda")
    with pytest.raises(RequestError, match="too many scans"):
        decode("image/jpeg", body[:start] + body[start:-2] * 100 + body[-2:])


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_400_with_a_reason(name: str) -> None:
    kind, body = WRONG[name]
    decoder = task(224, 224)
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
        pixels, sent = decode(kind, body)
    except RequestError as error:
        refused = error
    if refused is None:
        assert len(pixels) == len(sent) * 4 * 6 * 3
    else:
        assert refused.status in (400, 413)
        assert refused.reason


PROBABILITIES = np.array([[0.1, 0.7, 0.2], [1 / 3, 1 / 3, 0.5]], np.float32)


IMAGES = decode("application/x-npy", saved(some(2)))[0]
BATCH = Batch(2, [((2, 4, 6, 3), IMAGES)], [{"bytes": 9, "pixels": 24}] * 2)


def encode(kind: str, prediction_s: float = 1.0) -> tuple[bytes, list[dict[str, float]]]:
    outputs = [(PROBABILITIES.shape, PROBABILITIES.tobytes())]
    body, noted = TASK.encode(kind, outputs, BATCH, prediction_s=prediction_s)
    return body, list(noted)


def test_json_holds_grade_label_and_numbers_that_are_exact() -> None:
    body, noted = encode("application/json", 0.0123456789)
    value = json.loads(body)
    assert [(one["grade"], one["confidence"]) for one in noted] == [
        (1, pytest.approx(0.7)),
        (2, 0.5),
    ]
    assert [(one["grade"], one["label"]) for one in value["predictions"]] == [(1, "b"), (2, "c")]
    assert (value["prediction_seconds"], value["model"]) == (0.012346, "tiny")
    given_back = np.array([entry["probabilities"] for entry in value["predictions"]], np.float32)
    np.testing.assert_array_equal(given_back, PROBABILITIES)


def test_csv_is_a_line_per_image() -> None:
    body, _ = encode("text/csv")
    assert body.decode().count("\n") == 2
    np.testing.assert_array_equal(
        np.loadtxt(io.BytesIO(body), delimiter=",", dtype=np.float32), PROBABILITIES
    )


@pytest.mark.parametrize("kind", ImageClassification.given)
def test_every_declared_feature_is_noted_of_every_image_whatever_the_answer(kind: str) -> None:
    _, noted = encode(kind)
    for one, image in zip(noted, some(2), strict=True):
        assert set(one) == {feature.name for feature in ImageClassification.features}
        assert (one["brightness"], one["contrast"]) == light(image.tobytes(), 6, 4)
        assert (one["bytes"], one["pixels"]) == (9, 24)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["a"]}, "5 outputs of float32 but 1 labels"),
        ({"inputs": [{"name": "x", "dtype": "float32", "shape": [None, 1, 1, 3]}]}, "uint8"),
        ({"inputs": [{"name": "x", "dtype": "uint8", "shape": [None, 9]}]}, "height, width"),
        ({"inputs": tiny.card()["inputs"] * 2}, "unpack"),
    ],
)
def test_a_card_of_another_shape_does_not_fit(changes: dict[str, Any], said: str) -> None:
    described = card.card(tiny.card() | changes)
    with pytest.raises(StartError, match=said):
        fit(ImageClassification, described, Settings({}))


def test_pixels_of_the_contract_are_what_numpy_has() -> None:
    assert pixels(picture()).shape == (224, 224, 3)


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
