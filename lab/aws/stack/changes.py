"""What an order would change: the template rendered as it is deployed and as it is wanted."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.aws.model import Action, Artifacts, DeploymentNames, Order, PlanItem
from lab.aws.stack import template
from lab.aws.stack.inventory import KINDS, STACK
from lab.aws.stack.template import TemplateResource

NOT_YET: Final = Artifacts(image="not-pushed-yet", model_data="s3://none/model.tar.gz")
"""In place of what a plan cannot know."""

BLUE_GREEN: Final = "blue/green: the old fleet serves until the new one does"

_DETAILS: Final = {
    "AWS::ECR::Repository": "immutable tags, scanned on push",
    "AWS::S3::Bucket": "private, encrypted",
    "AWS::S3::BucketPolicy": "refuses connections that are not encrypted",
    "AWS::IAM::Role": "reads this image and these models, writes its logs and metrics",
}


def items(
    order: Order,
    names: DeploymentNames,
    artifacts: Artifacts | None,
    *,
    around: Mapping[str, str],
    deployed: Mapping[str, str] | None,
    body: str | None,
) -> Sequence[PlanItem]:
    """A line for each resource of the stack, and one for the stack itself.

    ``deployed`` are the parameters of the stack that is there and ``body`` its template; None if
    there is none. Without ``artifacts`` those that are deployed are taken to stay.
    """
    taken = artifacts or _deployed(deployed) or NOT_YET
    wanted = template.render(template.parameters(order, names, taken), around)
    there = None if deployed is None else _there(deployed, around, body or "")
    rows = list(_rows(there or {}, wanted))
    changed = any(row.action is not Action.KEEP for row in rows)
    stack, said = (Action.CHANGE if changed else Action.KEEP), ""
    if deployed is None:
        stack = Action.CREATE
    elif there is None:
        stack, said = Action.CHANGE, "its template is of another version of the lab"
    return [PlanItem(kind=STACK, name=names.stack, action=stack, detail=said), *rows]


def _there(
    deployed: Mapping[str, str], around: Mapping[str, str], body: str
) -> Mapping[str, TemplateResource] | None:
    """What is deployed; None if its template has what this version of the lab cannot read."""
    try:
        found = template.render(deployed, around, template.load(body))
    except template.UnreadableError:
        return None
    return found if all(one.type in KINDS for one in found.values()) else None


def _deployed(parameters: Mapping[str, str] | None) -> Artifacts | None:
    if not parameters or not parameters.get("ImageUri"):
        return None
    return Artifacts(image=parameters["ImageUri"], model_data=parameters["ModelDataUrl"])


def _rows(
    there: Mapping[str, TemplateResource], wanted: Mapping[str, TemplateResource]
) -> Iterator[PlanItem]:
    for logical, resource in wanted.items():
        before = there.get(logical)
        kind, name = _called(resource)
        if before is None:
            yield PlanItem(kind=kind, name=name, action=Action.CREATE, detail=detail(resource))
        elif before.properties == resource.properties:
            yield PlanItem(kind=kind, name=name, action=Action.KEEP, detail=detail(resource))
        else:
            yield PlanItem(
                kind=kind, name=name, action=Action.CHANGE, detail=_difference(before, resource)
            )
    for logical, resource in there.items():
        if logical not in wanted:
            kind, name = _called(resource)
            yield PlanItem(kind=kind, name=name, action=Action.CHANGE, detail="removed")


def _called(resource: TemplateResource) -> tuple[str, str]:
    kind, named_by = KINDS[resource.type]
    return kind, str(resource.properties[named_by])


def _difference(before: TemplateResource, after: TemplateResource) -> str:
    if after.type == "AWS::SageMaker::Endpoint":
        return BLUE_GREEN
    old, new = _called(before)[1], _called(after)[1]
    return f"replaces {old}" if old != new else detail(after)


def detail(resource: TemplateResource) -> str:
    """What is worth saying of a resource that is made or kept."""
    said: Mapping[str, Any] = resource.properties
    match resource.type:
        case "AWS::Logs::LogGroup":
            return f"kept {said['RetentionInDays']} days"
        case "AWS::SageMaker::EndpointConfig":
            return _hosting(said["ProductionVariants"][0])
        case "AWS::ApplicationAutoScaling::ScalableTarget":
            return f"{said['MinCapacity']} to {said['MaxCapacity']} instances"
        case _:
            return _DETAILS.get(resource.type, "")


def _hosting(variant: Mapping[str, Any]) -> str:
    serverless = variant.get("ServerlessConfig")
    if serverless:
        most = serverless["MaxConcurrency"]
        return f"serverless, {serverless['MemorySizeInMB']} MB, at most {most} at once"
    return f"{variant['InitialInstanceCount']} of {variant['InstanceType']}"
