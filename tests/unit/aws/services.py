"""The services of AWS that the lab calls, by botocore's names."""

SERVICES = (
    "application-autoscaling",
    "cloudformation",
    "cloudwatch",
    "ecr",
    "iam",
    "logs",
    "s3",
    "sagemaker",
    "sagemaker-runtime",
    "service-quotas",
    "sts",
)
