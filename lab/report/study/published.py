"""The published study's figures, as data, and the same ratios in a run of ours.

Source: a bachelor's thesis at the Federal University of Rio Grande do Sul (UFRGS), 2023: two
diabetic-retinopathy classifiers in SageMaker containers of their own (NGINX, Gunicorn, Uvicorn,
FastAPI, TensorFlow). Its seconds are those of AWS in 2023 and of another container, so only
ratios are ever set beside ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.coldstart.summary import Against, Comparison, Pair, Quantity
from lab.spec import StartKind

SOURCE: Final = "Bachelor's thesis, UFRGS (Federal University of Rio Grande do Sul), 2023"

MOBILENET: Final = "retinopathy-mobilenet"
VGG19: Final = "retinopathy-vgg19"
NAMES: Final[Mapping[str, str]] = {MOBILENET: "MobileNet", VGG19: "VGG19"}


@dataclass(frozen=True, kw_only=True)
class Image:
    """A step of the study's optimisation of its image."""

    step: str
    variant: str
    """Ours that repeats it."""
    compressed_bytes: int
    unpacked_bytes: int


IMAGES: Final = (
    Image(
        step="none",
        variant="baseline",
        compressed_bytes=1_798_270_000,
        unpacked_bytes=4_970_000_000,
    ),
    Image(
        step="two-step build",
        variant="twostage",
        compressed_bytes=923_990_000,
        unpacked_bytes=3_320_000_000,
    ),
    Image(
        step="fewer dependencies",
        variant="slim",
        compressed_bytes=517_230_000,
        unpacked_bytes=2_060_000_000,
    ),
)


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Ten serverless cold starts: mean and population standard deviation, seconds."""

    model: str
    memory_mb: int
    total_s: float
    total_sd_s: float
    prediction_s: float
    """Of the container's own clock; a cold one includes loading the model."""
    setup_s: float
    """ModelSetupTime."""


COLD_STARTS: Final = (
    ColdStart(
        model=MOBILENET,
        memory_mb=1024,
        total_s=20.666,
        total_sd_s=1.185,
        prediction_s=9.488,
        setup_s=10.6071,
    ),
    ColdStart(
        model=MOBILENET,
        memory_mb=2048,
        total_s=12.479,
        total_sd_s=0.395,
        prediction_s=4.983,
        setup_s=5.6728,
    ),
    ColdStart(
        model=MOBILENET,
        memory_mb=3072,
        total_s=12.459,
        total_sd_s=0.277,
        prediction_s=5.025,
        setup_s=5.6074,
    ),
    ColdStart(
        model=VGG19,
        memory_mb=1024,
        total_s=17.051,
        total_sd_s=1.088,
        prediction_s=4.396,
        setup_s=10.7879,
    ),
    ColdStart(
        model=VGG19,
        memory_mb=2048,
        total_s=11.066,
        total_sd_s=0.409,
        prediction_s=2.347,
        setup_s=6.8852,
    ),
    ColdStart(
        model=VGG19,
        memory_mb=3072,
        total_s=10.451,
        total_sd_s=0.195,
        prediction_s=2.038,
        setup_s=6.5223,
    ),
)

BY_IMAGE: Final[Mapping[str, float]] = {MOBILENET: 1.2864, VGG19: 1.3272}
"""Cold start, largest image over smallest, as printed."""

IN_ALL: Final[Mapping[str, float]] = {MOBILENET: 2.13, VGG19: 2.04}
"""Image and memory optimisation together: 26.59 to 12.48 s and 22.63 to 11.07 s, as printed."""


@dataclass(frozen=True, kw_only=True)
class PublishedComparison:
    """A published ratio and the same ratio of ours; ``ours`` is None when it was not measured."""

    what: str
    model: str | None
    published: float
    ours_is: str
    ours: float | None
    ci95: Pair | None


def _compressed(first: int, last: int) -> float:
    return IMAGES[first].compressed_bytes / IMAGES[last].compressed_bytes


def beside(
    comparisons: Sequence[Comparison], models: Sequence[str], bytes_of: Mapping[str, int | None]
) -> Sequence[PublishedComparison]:
    """The study's ratios, each with ours. ``bytes_of``: compressed bytes by variant."""
    return [*_sizes(bytes_of), *_images(comparisons, models), *_memory(comparisons, models)]


def _sizes(bytes_of: Mapping[str, int | None]) -> Sequence[PublishedComparison]:
    steps = (
        ("two-step build", "baseline", "twostage", _compressed(0, 1)),
        ("two-step build and fewer dependencies", "baseline", "slim", _compressed(0, 2)),
        ("the study's smallest image against our smallest", "baseline", "onnx-slim", None),
    )
    found = []
    for what, over, under, published in steps:
        first, second = bytes_of.get(over), bytes_of.get(under)
        found.append(
            PublishedComparison(
                what=f"compressed bytes, {what}",
                model=None,
                published=_compressed(0, 2) if published is None else published,
                ours_is=f"{over} / {under}",
                ours=first / second if first and second else None,
                ci95=None,
            )
        )
    return found


def _images(
    comparisons: Sequence[Comparison], models: Sequence[str]
) -> Sequence[PublishedComparison]:
    """``slim`` keeps TensorFlow, as the study did; ``onnx-slim`` goes as far as packaging can."""
    found = []
    for model in models:
        if model not in BY_IMAGE:
            continue
        for under, kind in (
            ("slim", StartKind.FRESH),
            ("slim", StartKind.PULL),
            ("onnx-slim", StartKind.FRESH),
            ("onnx-slim", StartKind.PULL),
        ):
            steps = under == "slim"
            ours = _find(comparisons, under, model=model, kind=kind)
            found.append(
                PublishedComparison(
                    what="cold start, by the image alone"
                    if steps
                    else "cold start, image and memory together",
                    model=model,
                    published=(BY_IMAGE if steps else IN_ALL)[model],
                    ours_is=f"baseline / {under}, {kind}"
                    + ("" if steps else ", same memory for both"),
                    ours=ours.ratio if ours else None,
                    ci95=ours.ci95 if ours else None,
                )
            )
    return found


def _memory(
    comparisons: Sequence[Comparison], models: Sequence[str]
) -> Sequence[PublishedComparison]:
    found = []
    for model in models:
        means = {cold.memory_mb: cold.total_s for cold in COLD_STARTS if cold.model == model}
        for less, more in ((1024, 2048), (2048, 3072)):
            if not means:
                continue
            ours = [
                one
                for one in comparisons
                if one.against is Against.TIER
                and (one.model, one.numerator, one.denominator) == (model, str(less), str(more))
                and one.start_kind is StartKind.FRESH
                and one.variant in ("baseline", "slim")
            ]
            first = ours[0] if ours else None
            found.append(
                PublishedComparison(
                    what=f"cold start, {less} MB over {more} MB",
                    model=model,
                    published=means[less] / means[more],
                    ours_is=f"{first.variant if first else 'baseline'}, fresh",
                    ours=first.ratio if first else None,
                    ci95=first.ci95 if first else None,
                )
            )
    return found


def _find(
    comparisons: Sequence[Comparison], under: str, *, model: str, kind: StartKind
) -> Comparison | None:
    wanted = (Against.BASELINE, Quantity.TOTAL, under, model, kind)
    for one in comparisons:
        if (one.against, one.quantity, one.denominator, one.model, one.start_kind) == wanted:
            return one
    return None
