"""Which headers SageMaker passes on, and how they are spelt: to a container, and back."""

from collections.abc import Mapping
from typing import Final

ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID: Final = "X-Amzn-SageMaker-Inference-Id"
VARIANT: Final = "x-Amzn-Invoked-Production-Variant"
SESSION: Final = "x-amzn-sagemaker-session-id"
PREFIX_AWARE: Final = "x-amzn-sagemaker-prefix-aware-id"
COLD: Final = "x-lab-cold-start"
"""Not AWS's, whose client cannot tell: for how many seconds a request waited for a container that
was started for it; 0 where it did not."""

FORWARDED: Final = {
    "content-type": "Content-Type",
    "accept": "Accept",
    ATTRIBUTES.lower(): ATTRIBUTES,
    INFERENCE_ID.lower(): INFERENCE_ID,
    SESSION: "X-Amzn-SageMaker-Session-Id",
}
FORWARDED_STREAM: Final = {
    **{name: spelt for name, spelt in FORWARDED.items() if name != "accept"},
    "x-amzn-sagemaker-accept": "Accept",
}
RETURNED: Final = {
    "content-type": "Content-Type",
    ATTRIBUTES.lower(): ATTRIBUTES,
    "x-amzn-sagemaker-new-session-id": "X-Amzn-SageMaker-New-Session-Id",
    "x-amzn-sagemaker-closed-session-id": "X-Amzn-SageMaker-Closed-Session-Id",
}
RETURNED_STREAM: Final = {
    "content-type": "X-Amzn-SageMaker-Content-Type",
    ATTRIBUTES.lower(): ATTRIBUTES,
}


def picked(headers: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Those that are there of ``names``, as they are spelt."""
    return {spelt: headers[name] for name, spelt in names.items() if name in headers}
