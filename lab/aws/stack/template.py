"""The CloudFormation template: its parameters for an order, and what it makes of them.

CloudFormation itself renders it on AWS. It is rendered here for the plan, and for the emulator,
which knows endpoints but no stacks: only the functions that ``endpoint.yaml`` uses are known.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from lab.aws.model import Artifacts, DeploymentNames, Order, ServingKind

BODY: Final = (files("lab.aws") / "endpoint.yaml").read_text(encoding="utf-8")

VARIANT: Final = "AllTraffic"
"""The one production variant of every endpoint."""

_MODEL_SAYS: Final = ("ImageUri", "ModelDataUrl", "RoleName")
_CONFIG_SAYS: Final = (
    "ModelName",
    "Hosting",
    "MemorySizeInMB",
    "MaxConcurrency",
    "InstanceType",
    "InstanceCount",
)
_DIGITS: Final = 12
_NO_VALUE: Final = object()

# What `Ref` and `Fn::GetAtt` give for a resource: of its properties, or made from them.
_RETURNS: Final[Mapping[str, Mapping[str, str]]] = {
    "AWS::ECR::Repository": {
        "Ref": "{RepositoryName}",
        "Arn": "arn:{AWS::Partition}:ecr:{AWS::Region}:{AWS::AccountId}"
        ":repository/{RepositoryName}",
    },
    "AWS::S3::Bucket": {"Ref": "{BucketName}", "Arn": "arn:{AWS::Partition}:s3:::{BucketName}"},
    "AWS::IAM::Role": {
        "Ref": "{RoleName}",
        "Arn": "arn:{AWS::Partition}:iam::{AWS::AccountId}:role/{RoleName}",
    },
    "AWS::SageMaker::Model": {"ModelName": "{ModelName}"},
    "AWS::SageMaker::Endpoint": {"EndpointName": "{EndpointName}"},
    "AWS::ApplicationAutoScaling::ScalableTarget": {"Ref": "{ResourceId}"},
}


class UnreadableError(Exception):
    """A template has what ``endpoint.yaml`` has not: it is of another version of the lab."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` is ``{"Ref": "x"}``."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Mapping[str, Any]:
    value: Any
    if isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    else:
        raise UnreadableError(f"!{suffix} of a mapping is not used in endpoint.yaml.")
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@dataclass(frozen=True, kw_only=True)
class TemplateResource:
    """A resource with every reference in its properties replaced."""

    logical: str
    type: str
    properties: Mapping[str, Any]


def load(body: str = BODY) -> Mapping[str, Any]:
    """A template in its long form. Raises ``UnreadableError``."""
    try:
        parsed: Mapping[str, Any] = yaml.load(body, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise UnreadableError(str(error)) from error
    return parsed


@cache
def _own() -> Mapping[str, Any]:
    return load()


def parameters(
    order: Order, names: DeploymentNames, artifacts: Artifacts | None, *, content: str = ""
) -> Mapping[str, str]:
    """What the stack is given; without ``artifacts``, in its first step.

    ``content`` tells apart images of one name: the engine's id of an image that has no digest.
    """
    given = {
        "EndpointName": names.endpoint,
        "RepositoryName": names.repository,
        "BucketName": names.bucket,
        "RoleName": names.role,
        "Hosting": order.kind.value,
    }
    if order.kind is ServingKind.SERVERLESS:
        given["MemorySizeInMB"] = str(order.memory_mb)
        given["MaxConcurrency"] = str(order.max_concurrency)
    else:
        given["InstanceType"] = str(order.instance_type)
        given["InstanceCount"] = str(order.instances)
        given["MaxInstanceCount"] = str(max(order.instances, order.max_instances))
    if artifacts is not None:
        given |= {"ImageUri": artifacts.image, "ModelDataUrl": artifacts.model_data}
        given["ModelName"] = _named(names, "Model", _MODEL_SAYS, given, content)
        # Whether it is scaled changes the endpoint, which is only changed to another configuration.
        scaled = "scaled" if order.is_scaled else ""
        given["EndpointConfigName"] = _named(names, "EndpointConfig", _CONFIG_SAYS, given, scaled)
    return _with_defaults(given)


def _with_defaults(given: Mapping[str, str]) -> Mapping[str, str]:
    """All of them, so that a parameter never keeps what an earlier order gave it."""
    known = {name: said.get("Default") for name, said in _own()["Parameters"].items()}
    return {name: given.get(name, str(default)) for name, default in known.items()}


def _named(
    names: DeploymentNames,
    logical: str,
    says: Sequence[str],
    given: Mapping[str, str],
    content: str,
) -> str:
    """A name that is another one when what it names would be."""
    said = [_own()["Resources"][logical], {name: given.get(name) for name in says}, content]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return f"{names.endpoint}-{digest[:_DIGITS]}"


def is_release(name: str, names: DeploymentNames) -> bool:
    """Whether a model or a configuration of this name is one of this endpoint's."""
    return bool(re.fullmatch(rf"{re.escape(names.endpoint)}-[0-9a-f]{{{_DIGITS}}}", name))


def pseudo(*, account: str, region: str) -> Mapping[str, str]:
    """CloudFormation's own parameters."""
    partition = "aws-cn" if region.startswith("cn-") else "aws"
    if region.startswith("us-gov-"):
        partition = "aws-us-gov"
    return {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": partition}


def render(
    given: Mapping[str, str],
    around: Mapping[str, str],
    template: Mapping[str, Any] | None = None,
) -> Mapping[str, TemplateResource]:
    """What the template makes of its parameters, by logical name, in the template's order.

    ``around`` are the pseudo parameters. Resources whose condition is false are left out.
    Raises ``UnreadableError``.
    """
    rendering = _Rendering(template or _own(), given, around)
    try:
        return {resource.logical: resource for resource in rendering.resources()}
    except KeyError as error:
        raise UnreadableError(f"There is no {error} in endpoint.yaml.") from error


def is_current(body: str, given: Mapping[str, str]) -> bool:
    """Whether a deployed template makes of these parameters what this version's makes.

    Words aside: CloudFormation refuses an update that would change nothing else.
    """
    around = pseudo(account="", region="")
    try:
        return render(given, around, load(body)) == render(given, around)
    except UnreadableError:
        return False


class _Rendering:
    def __init__(
        self, template: Mapping[str, Any], given: Mapping[str, str], around: Mapping[str, str]
    ) -> None:
        self._template = template
        self._around = around
        self._values: dict[str, Any] = dict(around)
        for name, said in template["Parameters"].items():
            value = given.get(name, said.get("Default", ""))
            self._values[name] = int(value) if said["Type"] == "Number" else value

    def resources(self) -> Iterator[TemplateResource]:
        for logical, said in self._template["Resources"].items():
            if "Condition" not in said or self._holds(said["Condition"]):
                properties = self._of(said.get("Properties", {}))
                yield TemplateResource(logical=logical, type=said["Type"], properties=properties)

    def _holds(self, condition: str) -> bool:
        return bool(self._of(self._template["Conditions"][condition]))

    def _of(self, value: Any) -> Any:
        """The value with its functions called."""
        if isinstance(value, list):
            return [found for one in value if (found := self._of(one)) is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            # `Condition` is also a key of policies, where it holds a mapping.
            if name in {"Ref", "Condition"} and isinstance(argument, str):
                return self._ref(argument) if name == "Ref" else self._holds(argument)
            if name.startswith("Fn::"):
                return self._called(name.removeprefix("Fn::"), argument)
        found = {key: self._of(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one is not _NO_VALUE}

    def _called(self, function: str, argument: Any) -> Any:
        match function:
            case "If":
                condition, then, otherwise = argument
                return self._of(then if self._holds(condition) else otherwise)
            case "Equals":
                left, right = (str(self._of(one)) for one in argument)
                return left == right
            case "Not":
                return not self._of(argument[0])
            case "And":
                return all(self._of(one) for one in argument)
            case "GetAtt":
                return self._returned(*argument)
            case "Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda found: self._named(found[1]), argument)
            case _:
                raise UnreadableError(f"Fn::{function} is not used in endpoint.yaml.")

    def _named(self, name: str) -> str:
        logical, _, attribute = name.partition(".")
        return str(self._returned(logical, attribute) if attribute else self._ref(name))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        return self._values[name] if name in self._values else self._returned(name, "Ref")

    def _returned(self, logical: str, attribute: str) -> str:
        said = self._template["Resources"][logical]
        properties = {**self._around, **self._of(said["Properties"])}
        form = _RETURNS[said["Type"]][attribute]
        return re.sub(r"\{([^}]+)\}", lambda found: str(properties[found[1]]), form)
