"""Where the rules are written, by short name."""

from typing import Final

DOCS: Final = "https://docs.aws.amazon.com/sagemaker/latest/dg/"

INFERENCE_CODE: Final = DOCS + "your-algorithms-inference-code.html"
SERVERLESS: Final = DOCS + "serverless-endpoints.html"
SERVERLESS_INVOKE: Final = DOCS + "serverless-endpoints-invoke.html"
SERVERLESS_TROUBLE: Final = DOCS + "serverless-endpoints-troubleshooting.html"
BATCH: Final = DOCS + "your-algorithms-batch-code.html"
RUNTIME_MODEL: Final = "botocore's service model of sagemaker-runtime: BodyBlob.max 6291456"
API_MODEL: Final = "botocore's service model of sagemaker"
PIPELINE: Final = DOCS + "inference-pipeline-real-time.html"
MULTI_MODEL: Final = DOCS + "mms-container-apis.html"
BIDIRECTIONAL: Final = "AWS API reference: InvokeEndpointWithBidirectionalStream (2025-10)"
LAB: Final = "no AWS page: what the lab takes a sound server to do"
