"""What CloudFormation makes of each type of resource, made in moto by boto3."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import ClientError
from moto.sagemaker.models import sagemaker_backends

Client = Callable[[str], Any]
Properties = Mapping[str, Any]


@dataclass(kw_only=True)
class Made:
    """A resource that exists."""

    type: str
    physical: str
    properties: Properties
    reference: str
    """What Ref gives."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Type(ABC):
    """One type of resource."""

    name_property: str = ""
    replaces_on: frozenset[str] | None = frozenset()
    """Properties whose change needs a new one; None: all but Tags."""

    def __init__(self, client: Client, region: str, account: str) -> None:
        self.client = client
        self.region = region
        self.account = account

    def needs_replacing(self, old: Properties, new: Properties) -> bool:
        """Whether a new one must be made."""
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        watched = changed - {"Tags"} if self.replaces_on is None else self.replaces_on
        return bool(changed & (watched | {self.name_property}))

    @abstractmethod
    def create(self, name: str, properties: Properties) -> Made:
        """Make it; raises ``ClientError``."""

    def update(self, made: Made, properties: Properties) -> Made:
        """Change it in place."""
        return Made(**{**vars(made), "properties": properties})

    @abstractmethod
    def delete(self, made: Made) -> None:
        """Remove it; raises ``ClientError``."""

    def made(self, name: str, properties: Properties, reference: str, **attributes: Any) -> Made:
        return Made(
            type=type(self).__name__,
            physical=reference if reference.startswith("arn:") else name,
            properties=properties,
            reference=reference,
            attributes=attributes,
        )


class Repository(Type):
    name_property = "RepositoryName"
    replaces_on = frozenset({"EncryptionConfiguration"})

    def create(self, name: str, properties: Properties) -> Made:
        scan = properties.get("ImageScanningConfiguration", {})
        found = self.client("ecr").create_repository(
            repositoryName=name,
            imageTagMutability=properties.get("ImageTagMutability", "MUTABLE"),
            imageScanningConfiguration={"scanOnPush": bool(scan.get("ScanOnPush"))},
            tags=properties.get("Tags", []),
        )["repository"]
        return self.made(
            name,
            properties,
            name,
            Arn=found["repositoryArn"],
            RepositoryUri=found["repositoryUri"],
        )

    def delete(self, made: Made) -> None:
        force = bool(made.properties.get("EmptyOnDelete"))
        self.client("ecr").delete_repository(repositoryName=made.physical, force=force)


class Bucket(Type):
    name_property = "BucketName"

    def create(self, name: str, properties: Properties) -> Made:
        s3 = self.client("s3")
        place = {"LocationConstraint": self.region}
        outside = self.region != "us-east-1"
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if outside else {}))
        made = self.made(
            name,
            properties,
            name,
            Arn=f"arn:aws:s3:::{name}",
            RegionalDomainName=f"{name}.s3.{self.region}.amazonaws.com",
        )
        return self.update(made, properties)

    def update(self, made: Made, properties: Properties) -> Made:
        s3, name = self.client("s3"), made.physical
        if encryption := properties.get("BucketEncryption"):
            rules = [
                {
                    "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
                    "BucketKeyEnabled": _true(rule.get("BucketKeyEnabled", False)),
                }
                for rule in encryption["ServerSideEncryptionConfiguration"]
            ]
            s3.put_bucket_encryption(
                Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules}
            )
        if block := properties.get("PublicAccessBlockConfiguration"):
            s3.put_public_access_block(
                Bucket=name,
                PublicAccessBlockConfiguration={key: _true(one) for key, one in block.items()},
            )
        if versioning := properties.get("VersioningConfiguration"):
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
        if tags := properties.get("Tags"):
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        self.client("s3").delete_bucket(Bucket=made.physical)


class BucketPolicy(Type):
    replaces_on = frozenset({"Bucket"})

    def create(self, name: str, properties: Properties) -> Made:
        made = self.made(name, properties, properties["Bucket"])
        return self.update(made, properties)

    def update(self, made: Made, properties: Properties) -> Made:
        document = properties["PolicyDocument"]
        # moto refuses by a statement whatever its condition says, and this one is about TLS.
        kept = [one for one in document["Statement"] if "SecureTransport" not in json.dumps(one)]
        if kept:
            policy = json.dumps({**document, "Statement": kept})
            self.client("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        self.client("s3").delete_bucket_policy(Bucket=made.properties["Bucket"])


class Role(Type):
    name_property = "RoleName"

    def create(self, name: str, properties: Properties) -> Made:
        found = self.client("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Tags=properties.get("Tags", []),
        )["Role"]
        made = self.made(name, properties, name, Arn=found["Arn"], RoleId=found["RoleId"])
        return self.update(made, properties)

    def update(self, made: Made, properties: Properties) -> Made:
        for policy in properties.get("Policies", []):
            self.client("iam").put_role_policy(
                RoleName=made.physical,
                PolicyName=policy["PolicyName"],
                PolicyDocument=json.dumps(policy["PolicyDocument"]),
            )
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        iam = self.client("iam")
        for name in iam.list_role_policies(RoleName=made.physical)["PolicyNames"]:
            iam.delete_role_policy(RoleName=made.physical, PolicyName=name)
        iam.delete_role(RoleName=made.physical)


class Policy(Type):
    name_property = "PolicyName"

    def create(self, name: str, properties: Properties) -> Made:
        return self.update(self.made(name, properties, name), properties)

    def update(self, made: Made, properties: Properties) -> Made:
        for role in properties.get("Roles", []):
            self.client("iam").put_role_policy(
                RoleName=role,
                PolicyName=made.physical,
                PolicyDocument=json.dumps(properties["PolicyDocument"]),
            )
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        for role in made.properties.get("Roles", []):
            self.client("iam").delete_role_policy(RoleName=role, PolicyName=made.physical)


class Model(Type):
    name_property = "ModelName"
    replaces_on = None

    def create(self, name: str, properties: Properties) -> Made:
        rest = {key: one for key, one in properties.items() if key != "ModelName"}
        found = self.client("sagemaker").create_model(ModelName=name, **_typed(rest))
        return self.made(name, properties, found["ModelArn"], ModelName=name)

    def delete(self, made: Made) -> None:
        self.client("sagemaker").delete_model(ModelName=made.attributes["ModelName"])


class EndpointConfig(Type):
    name_property = "EndpointConfigName"
    replaces_on = None

    def create(self, name: str, properties: Properties) -> Made:
        rest = {key: one for key, one in properties.items() if key != "EndpointConfigName"}
        sagemaker = self.client("sagemaker")
        for variant in rest["ProductionVariants"]:
            # moto believes everything.
            sagemaker.describe_model(ModelName=variant["ModelName"])
        found = sagemaker.create_endpoint_config(EndpointConfigName=name, **_typed(rest))
        return self.made(name, properties, found["EndpointConfigArn"], EndpointConfigName=name)

    def delete(self, made: Made) -> None:
        name = made.attributes["EndpointConfigName"]
        self.client("sagemaker").delete_endpoint_config(EndpointConfigName=name)


class Endpoint(Type):
    name_property = "EndpointName"

    def create(self, name: str, properties: Properties) -> Made:
        found = self.client("sagemaker").create_endpoint(
            EndpointName=name,
            EndpointConfigName=properties["EndpointConfigName"],
            Tags=properties.get("Tags", []),
        )
        return self.made(name, properties, found["EndpointArn"], EndpointName=name)

    def update(self, made: Made, properties: Properties) -> Made:
        # moto has no UpdateEndpoint.
        sagemaker = sagemaker_backends[self.account][self.region]
        endpoint = sagemaker.endpoints[made.attributes["EndpointName"]]
        config = self.client("sagemaker").describe_endpoint_config(
            EndpointConfigName=properties["EndpointConfigName"]
        )
        endpoint.endpoint_config_name = config["EndpointConfigName"]
        endpoint.production_variants = endpoint._process_production_variants(
            config["ProductionVariants"]
        )
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        self.client("sagemaker").delete_endpoint(EndpointName=made.attributes["EndpointName"])


class Alarm(Type):
    name_property = "AlarmName"

    def create(self, name: str, properties: Properties) -> Made:
        arn = f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{name}"
        return self.update(self.made(name, properties, name, Arn=arn), properties)

    def update(self, made: Made, properties: Properties) -> Made:
        rest = {key: one for key, one in properties.items() if key != "AlarmName"}
        self.client("cloudwatch").put_metric_alarm(AlarmName=made.physical, **_typed(rest))
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        self.client("cloudwatch").delete_alarms(AlarmNames=[made.physical])


class ScalableTarget(Type):
    replaces_on = frozenset({"ResourceId", "ScalableDimension", "ServiceNamespace"})

    def create(self, name: str, properties: Properties) -> Made:
        del name
        reference = "|".join(
            properties[one] for one in ("ResourceId", "ScalableDimension", "ServiceNamespace")
        )
        return self.update(self.made(reference, properties, reference), properties)

    def update(self, made: Made, properties: Properties) -> Made:
        wanted = {key: one for key, one in _typed(properties).items() if key != "Tags"}
        self.client("application-autoscaling").register_scalable_target(**wanted)
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        self.client("application-autoscaling").deregister_scalable_target(**_target(made))


class ScalingPolicy(Type):
    name_property = "PolicyName"

    def create(self, name: str, properties: Properties) -> Made:
        arn = f"arn:aws:autoscaling:{self.region}:{self.account}:scalingPolicy:x:policyName/{name}"
        return self.update(self.made(name, properties, arn, Arn=arn), properties)

    def update(self, made: Made, properties: Properties) -> Made:
        rest = dict(_typed(properties))
        if identity := rest.pop("ScalingTargetId", None):
            resource, dimension, namespace = identity.split("|")
            rest |= {
                "ResourceId": resource,
                "ScalableDimension": dimension,
                "ServiceNamespace": namespace,
            }
        self.client("application-autoscaling").put_scaling_policy(**rest)
        return super().update(made, rest)

    def delete(self, made: Made) -> None:
        self.client("application-autoscaling").delete_scaling_policy(
            PolicyName=made.properties["PolicyName"], **_target(made)
        )


class LogGroup(Type):
    name_property = "LogGroupName"

    def create(self, name: str, properties: Properties) -> Made:
        self.client("logs").create_log_group(logGroupName=name)
        arn = f"arn:aws:logs:{self.region}:{self.account}:log-group:{name}:*"
        return self.update(self.made(name, properties, name, Arn=arn), properties)

    def update(self, made: Made, properties: Properties) -> Made:
        if days := properties.get("RetentionInDays"):
            self.client("logs").put_retention_policy(
                logGroupName=made.physical, retentionInDays=int(days)
            )
        return super().update(made, properties)

    def delete(self, made: Made) -> None:
        self.client("logs").delete_log_group(logGroupName=made.physical)


TYPES: Final[Mapping[str, type[Type]]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": ScalableTarget,
    "AWS::ApplicationAutoScaling::ScalingPolicy": ScalingPolicy,
    "AWS::CloudWatch::Alarm": Alarm,
    "AWS::ECR::Repository": Repository,
    "AWS::IAM::Policy": Policy,
    "AWS::IAM::Role": Role,
    "AWS::Logs::LogGroup": LogGroup,
    "AWS::S3::Bucket": Bucket,
    "AWS::S3::BucketPolicy": BucketPolicy,
    "AWS::SageMaker::Endpoint": Endpoint,
    "AWS::SageMaker::EndpointConfig": EndpointConfig,
    "AWS::SageMaker::Model": Model,
}

_NUMBERS: Final = frozenset(
    {
        "DatapointsToAlarm",
        "EvaluationPeriods",
        "InitialInstanceCount",
        "MaxCapacity",
        "MaxConcurrency",
        "MemorySizeInMB",
        "MinCapacity",
        "Period",
        "ProvisionedConcurrency",
        "ScaleInCooldown",
        "ScaleOutCooldown",
        "ModelDataDownloadTimeoutInSeconds",
        "ContainerStartupHealthCheckTimeoutInSeconds",
    }
)
_FLOATS: Final = frozenset({"InitialVariantWeight", "TargetValue", "Threshold"})


def _typed(said: Any, key: str = "") -> Any:
    """Parameters are texts in a template; boto3 wants numbers."""
    if isinstance(said, Mapping):
        return {name: _typed(one, name) for name, one in said.items()}
    if isinstance(said, list):
        return [_typed(one, key) for one in said]
    if key in _NUMBERS:
        return int(said)
    if key in _FLOATS:
        return float(said)
    if key in {"EnableNetworkIsolation", "ActionsEnabled", "ReturnData", "DisableScaleIn"}:
        return _true(said)
    return said


def _true(said: Any) -> bool:
    return str(said).lower() == "true"


def _target(made: Made) -> Mapping[str, str]:
    return {
        key: made.properties[key] for key in ("ResourceId", "ScalableDimension", "ServiceNamespace")
    }


def gone(failure: ClientError) -> bool:
    """Whether it could not be deleted because it is not there."""
    said = failure.response["Error"]
    words = ("could not find", "does not exist", "not found", "no such", "notfound", "nosuch")
    text = f"{said['Code']} {said['Message']}".lower()
    return any(word in text for word in words)


def tagged(properties: Properties, tags: Sequence[Mapping[str, str]], type_: str) -> Properties:
    """With the stack's tags, as CloudFormation hands them on."""
    if type_ in _UNTAGGED or not tags:
        return properties
    own = {one["Key"]: one for one in properties.get("Tags", [])}
    return {**properties, "Tags": list({**{t["Key"]: t for t in tags}, **own}.values())}


_UNTAGGED: Final = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::IAM::Policy",
        "AWS::S3::BucketPolicy",
    }
)
