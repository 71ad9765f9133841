"""Whether what comes still looks like what the model was tested on: the population stability index.

    PSI = sum over the bins of (p - q) ln(p / q)

with p a bin's share of what came within the window and q its share of the reference, both floored
at 0.0001, for an empty bin would make it infinite. It is 0 when both are alike, never negative, and
the same whichever is called the reference (it is Kullback and Leibler's divergence, both ways
added up; Jeffreys 1946).

Source of the formula and of the thresholds: Naeem Siddiqi, *Credit Risk Scorecards: Developing and
Implementing Intelligent Credit Scoring*, Wiley 2006: below 0.1 no significant change, from 0.1 on a
small change that needs investigation, above 0.25 a significant shift. These are rules of thumb,
made for scores by the thousand in ten bins. Of few images, chance alone moves it: if nothing has
changed, PSI / (1 / images + 1 / reference images) is spread as chi squared with bins - 1 degrees of
freedom (Bilal Yurdakul and Joshua Naranjo, "Statistical properties of the population stability
index", *Journal of Risk Model Validation*, 2020). So references have five bins, which keeps its
mean without any change at 0.15 for 30 images and below 0.06 for 100; fewer than 30 say nothing.

The service counts images by bin and tells the reference's shares (``lab_inference_drift_*``);
Prometheus does the sum by ``rule_expression``. Counts are added up over an endpoint's containers of
one model; of several models (two variants, an update) the one that drifts most is the endpoint's.
"""

from typing import Final

SMALL: Final = 0.1
"""From here on: look into it."""
LARGE: Final = 0.25
"""Above: what comes is something else."""
FLOOR: Final = 1e-4
"""Of each share."""
LEAST_IMAGES: Final = 30
"""Within the window; with fewer there is no figure."""
WINDOWS: Final = ("5m", "1h")
"""Sliding: the short one for a demonstration, the long one for judging."""

BIN: Final = "lab_inference_drift_bin_total"
REFERENCE: Final = "lab_inference_drift_reference_ratio"
_OF_MODEL: Final = "endpoint, model, feature"


def psi_record(window: str) -> str:
    """The recording rule's name."""
    return f"endpoint_feature:drift_psi:{window}"


def images_record(window: str) -> str:
    """The name of the rule that tells of how many images it is made."""
    return f"endpoint_feature:drift_images:{window}"


def rule_expression(window: str) -> str:
    """PSI by endpoint and feature, in PromQL; no series where fewer than 30 images came.

    The reference is taken as of any time within the window, like the images: a serverless endpoint
    may have no container now.
    """
    seen, images = seen_expression(window), _images(window)
    p = f"clamp_min({seen} / on ({_OF_MODEL}) group_left () {images}, {FLOOR:g})"
    q = f"clamp_min({reference_expression(window)}, {FLOOR:g})"
    return (
        "max by (endpoint, feature) (\n"
        f"  sum by ({_OF_MODEL}) (\n"
        f"    ({p} - {q})\n"
        f"    * ln({p} / {q})\n"
        "  )\n"
        f"  and on ({_OF_MODEL}) {images} >= {LEAST_IMAGES}\n"
        ")"
    )


def images_expression(window: str) -> str:
    """How many images of an endpoint came within the window, by feature, in PromQL."""
    return f"sum by (endpoint, feature) (increase({BIN}[{window}]))"


def seen_expression(window: str) -> str:
    """How many images of a model came within the window, by bin, in PromQL."""
    return f"sum by ({_OF_MODEL}, bin) (increase({BIN}[{window}]))"


def _images(window: str) -> str:
    return f"sum by ({_OF_MODEL}) (increase({BIN}[{window}]))"


def reference_expression(window: str) -> str:
    """The shares that a model's reference has, by bin, in PromQL."""
    # All containers of a model tell the same; the mean would be of as many as there were.
    return f"max by ({_OF_MODEL}, bin) (last_over_time({REFERENCE}[{window}]))"
