"""The published study's figures, and the same ratios in a run of ours.

The CSV files beside this module say where their figures are from. Its seconds and dollars are those
of AWS in 2023 and of another container, so only ratios are ever set beside ours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from lab.coldstart.summary import Against, Comparison, Pair, Quantity, Row, Summary
from lab.images.variants import BASELINE, serving
from lab.report.headline import NEW
from lab.report.words import KINDS
from lab.schema import Frozen, packaged_rows
from lab.spec import Platform, StartKind

SOURCE: Final = "Bachelor's thesis, UFRGS (Federal University of Rio Grande do Sul), 2023"
REQUESTS: Final = 25
YEAR: Final = 2023

MOBILENET: Final = "retinopathy-mobilenet"
VGG19: Final = "retinopathy-vgg19"
NAMES: Final[Mapping[str, str]] = {MOBILENET: "MobileNet", VGG19: "VGG19"}

BY_IMAGE: Final[Mapping[str, float]] = {MOBILENET: 1.2864, VGG19: 1.3272}
"""Cold start, largest image over smallest, as printed."""

IN_ALL: Final[Mapping[str, float]] = {MOBILENET: 2.13, VGG19: 2.04}
"""Image and memory optimisation together: 26.59 to 12.48 s and 22.63 to 11.07 s, as printed."""

LARGEST_COLD_S: Final[Mapping[str, float]] = {MOBILENET: 26.59, VGG19: 22.63}
"""Cold start with the largest image at ``LARGEST_MB``, as printed, without a deviation."""

LARGEST_MB: Final = 1024
COLD_REQUESTS: Final = 10


class StudyImage(Frozen):
    """A step of the study's optimisation of its image."""

    step: str
    variant: str
    """Ours that repeats it."""
    compressed_bytes: int
    unpacked_bytes: int


class Serverless(Frozen):
    """A model at a memory size: means and population standard deviations."""

    model: str
    memory_mb: int
    cold_total_s: float
    cold_total_sd_s: float
    cold_prediction_s: float
    """Of the container's own clock; a cold one includes loading the model."""
    cold_prediction_sd_s: float
    setup_s: float
    """ModelSetupTime."""
    warm_prediction_s: float
    warm_prediction_sd_s: float
    warm_total_s: float
    warm_total_sd_s: float
    usd: float
    """Of a warm inference."""


class RealTime(Frozen):
    """A model on an instance: means and population standard deviations."""

    model: str
    instance: str
    platform: Platform
    vcpus: int
    memory_gb: int
    usd_per_hour: float
    """As the study gives it, of 2023."""
    prediction_s: float
    """Inside the container."""
    prediction_sd_s: float
    total_s: float
    """Request sent to reply received."""
    total_sd_s: float

    @property
    def usd_per_1000(self) -> float:
        """Predictions, by the time inside the container."""
        return 1000 * self.prediction_s / 3600 * self.usd_per_hour


IMAGES: Final = packaged_rows("lab.report.study", "images.csv", StudyImage)
SERVERLESS: Final = packaged_rows("lab.report.study", "serverless.csv", Serverless)
REAL_TIME: Final = packaged_rows("lab.report.study", "real_time.csv", RealTime)


class PublishedComparison(Frozen):
    """A published ratio and the same ratio of ours; ``ours`` is None when it was not measured."""

    what: str
    model: str | None
    published: float
    ours_is: str
    ours: float | None
    ci95: Pair | None = None


def repeated(rows: Iterable[Row]) -> bool:
    """Whether a run measured the study's models in the lab's variants: else it is not about them.

    Beside a user's image the variants are references, unless a ratio of the study is among them.
    """
    ours = {
        row.variant: row.reference
        for row in rows
        if row.variant in serving() and row.model in NAMES
    }
    return not all(ours.values()) or (BASELINE in ours and len(ours) > 1)


def beside(summary: Summary) -> Sequence[PublishedComparison]:
    """The study's ratios, each with ours."""
    models = [one for one in dict.fromkeys(row.model for row in summary.rows) if one in NAMES]
    return [
        *_sizes(summary),
        *_images(summary.comparisons, models),
        *_memory(summary.comparisons, models),
    ]


def _sizes(summary: Summary) -> Iterator[PublishedComparison]:
    # The study's images are x86-64's. Sizes of two platforms are never divided by each other here.
    platforms = {row.platform for row in summary.rows}
    chosen = Platform.AMD64 if Platform.AMD64 in platforms else Platform.ARM64
    packed = {
        row.variant: row.image_compressed_bytes for row in summary.rows if row.platform is chosen
    }
    largest, two_step, smallest = (image.compressed_bytes for image in IMAGES)
    for what, under, theirs in (
        ("two-step build", "twostage", two_step),
        ("two-step build and fewer dependencies", "slim", smallest),
        ("the study's smallest image against our smallest", "onnx-slim", smallest),
    ):
        first, second = packed.get("baseline"), packed.get(under)
        yield PublishedComparison(
            what=f"compressed bytes, {what}",
            model=None,
            published=largest / theirs,
            ours_is=f"baseline / {under}",
            ours=first / second if first and second else None,
        )


def _images(
    comparisons: Sequence[Comparison], models: Sequence[str]
) -> Iterator[PublishedComparison]:
    """``slim`` keeps TensorFlow, as the study did; ``onnx-slim`` goes as far as packaging can.

    The study's starts are of serverless endpoints, which load on demand: nearest to those of ours.
    """
    steps = (
        ("slim", "cold start, by the image alone", BY_IMAGE, ""),
        ("onnx-slim", "cold start, image and memory together", IN_ALL, ", same memory for both"),
    )
    for model, (under, what, published, memory), kind in product(models, steps, NEW):
        wanted = (Against.BASELINE, Quantity.TOTAL, under, model, kind)
        ours = [
            one
            for one in comparisons
            if (one.against, one.quantity, one.denominator, one.model, one.start_kind) == wanted
        ]
        ours_is = f"baseline / {under}, {KINDS[kind]}{memory}"
        yield _beside_first(ours, what, model, published[model], ours_is)


def _memory(
    comparisons: Sequence[Comparison], models: Sequence[str]
) -> Iterator[PublishedComparison]:
    seconds = {(one.model, one.memory_mb): one.cold_total_s for one in SERVERLESS}
    steps = ((1024, 2048), (2048, 3072))
    for model, (less, more), kind in product(models, steps, (StartKind.FRESH, StartKind.ONDEMAND)):
        wanted = (Against.TIER, kind, model, str(less), str(more))
        ours = [
            one
            for one in comparisons
            if (one.against, one.start_kind, one.model, one.numerator, one.denominator) == wanted
            and one.variant in ("baseline", "slim")
        ]
        what = f"cold start, {less} MB over {more} MB"
        published = seconds[model, less] / seconds[model, more]
        ours_is = f"{ours[0].variant if ours else 'baseline'}, {KINDS[kind]}"
        yield _beside_first(ours, what, model, published, ours_is)


def _beside_first(
    ours: Sequence[Comparison], what: str, model: str, published: float, ours_is: str
) -> PublishedComparison:
    return PublishedComparison(
        what=what,
        model=model,
        published=published,
        ours_is=ours_is,
        ours=ours[0].ratio if ours else None,
        ci95=ours[0].ci95 if ours else None,
    )
