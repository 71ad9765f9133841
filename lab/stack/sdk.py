"""What SageMaker's Python SDKs have to be told beside AWS's variables.

To name a bucket they ask STS for the account, at an address that they make up themselves
(``https://sts.REGION.amazonaws.com``, whatever ``AWS_ENDPOINT_URL_STS`` says), unless their own
settings name one.
"""

from pathlib import Path
from typing import Final

from lab.runfiles import write_whole

FILE: Final = "sagemaker-sdk.yaml"
VARIABLE: Final = "SAGEMAKER_USER_CONFIG_OVERRIDE"
"""Where the SDKs, 2 and 3, look for their settings."""


def save(state: Path, *, bucket: str) -> Path:
    """Write settings for the SDKs that name the lab's bucket; the file."""
    return write_whole(
        state / FILE,
        "SchemaVersion: '1.0'\n"
        "SageMaker:\n"
        "  PythonSDK:\n"
        "    Modules:\n"
        "      TelemetryOptOut: true\n"
        "      Session:\n"
        f"        DefaultS3Bucket: {bucket}\n",
    )
