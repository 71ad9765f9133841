"""``prediction.json``: constants, fit, trial and predictions. Seconds and plain ratios."""

from collections.abc import Sequence
from enum import StrEnum, unique

from lab.coldstart.summary import Pair
from lab.report.predict.constants import Constant
from lab.schema import Frozen, Versioned


class ConstantLine(Frozen):
    """A constant of the model."""

    constant: Constant
    means: str
    value: float
    unit: str
    """``s``, or ``x`` for seconds there per second here."""
    interval: Pair
    """95 %, from the published deviations and the samples of the run."""
    source: str


class FigureLine(Frozen):
    """A figure measured on AWS and what the model makes of it."""

    what: str
    model: str
    where: str
    """Memory, an instance, or what was divided."""
    goal: bool
    """Whether it is one of the figures that the model is judged by."""
    predicted: float
    published: float
    unit: str
    """``s`` or ``x``."""
    error: float
    """Of what was published: -0.2 is a fifth too little."""
    error_interval: Pair
    reason: str = ""
    """Why it is further off than the bound."""


@unique
class Target(StrEnum):
    """Where a prediction is for."""

    SERVERLESS = "predicted on serverless"
    INSTANCE = "predicted on an instance"


class VariantLine(Frozen):
    """A variant of the run on AWS: a prediction, or why there is none."""

    variant: str
    model: str
    target: Target
    memory_mb: int | None
    """None on an instance."""
    cold_s: float | None = None
    cold_interval: Pair | None = None
    warm_s: float | None = None
    warm_interval: Pair | None = None
    note: str = ""
    """Why there is no number, or what stands behind one."""


class Prediction(Versioned):
    """What AWS will show for a run."""

    run: str
    fitted_by: str
    """The run whose starts stand for the study's."""
    constants: Sequence[ConstantLine]
    fitted: Sequence[FigureLine]
    """What the constants were fitted to: the residuals."""
    held_out: Sequence[FigureLine]
    """What the fit has not seen: the errors."""
    variants: Sequence[VariantLine]
    notes: Sequence[str]
