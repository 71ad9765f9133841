"""What an endpoint of the lab's serves, and on what: read from what describes it there."""

from lab.aws.access.session import AwsSession
from lab.aws.measure.record import MeasuredSubject
from lab.aws.model import TAG_MODEL, TAG_VARIANT, AwsError, DeploymentNames, PushTarget, ServingKind
from lab.aws.stack.cloudformation import CloudFormationStack
from lab.endpoint.client import EmulatorClient
from lab.endpoint.instances import platform_of


def on_aws(aws: AwsSession, names: DeploymentNames) -> MeasuredSubject:
    """By its stack. Raises ``AwsError`` when there is none of ours, or nothing is deployed."""
    state = CloudFormationStack(aws, names).look()
    if state is None or not state.serves:
        raise _nothing(names)
    said = state.parameters
    serverless = said["Hosting"] == ServingKind.SERVERLESS.value
    return MeasuredSubject(
        endpoint=names.endpoint,
        variant=state.tags.get(TAG_VARIANT, ""),
        model=state.tags.get(TAG_MODEL, ""),
        kind=ServingKind(said["Hosting"]),
        target=PushTarget.AWS,
        region=aws.region,
        platform=platform_of(None if serverless else said["InstanceType"]),
        memory_mb=int(said["MemorySizeInMB"]) if serverless else None,
        instance_type=None if serverless else said["InstanceType"],
        instances=1 if serverless else int(said["InstanceCount"]),
        image_digest=said["ImageUri"].partition("@")[2] or None,
    )


def on_emulator(client: EmulatorClient, names: DeploymentNames) -> MeasuredSubject:
    """By its configuration and tags. Raises ``AwsError`` when it is not there or not a push's."""
    endpoint = client.find("describe_endpoint", EndpointName=names.endpoint)
    if endpoint is None:
        raise _nothing(names)
    rows = client.call("list_tags", ResourceArn=endpoint["EndpointArn"])["Tags"]
    tags = {one["Key"]: one["Value"] for one in rows}
    if TAG_VARIANT not in tags:
        raise _nothing(names)
    config = client.call(
        "describe_endpoint_config", EndpointConfigName=endpoint["EndpointConfigName"]
    )
    hosted = config["ProductionVariants"][0]
    serverless = hosted.get("ServerlessConfig")
    return MeasuredSubject(
        endpoint=names.endpoint,
        variant=tags[TAG_VARIANT],
        model=tags.get(TAG_MODEL, ""),
        kind=ServingKind.REAL_TIME if serverless is None else ServingKind.SERVERLESS,
        target=PushTarget.LOCAL,
        region=client.addresses.region,
        platform=platform_of(hosted.get("InstanceType")),
        memory_mb=None if serverless is None else int(serverless["MemorySizeInMB"]),
        instance_type=hosted.get("InstanceType"),
        instances=int(hosted.get("InitialInstanceCount") or 1),
    )


def _nothing(names: DeploymentNames) -> AwsError:
    return AwsError(
        f"No push left an endpoint {names.endpoint} there.", remedy="Push one: `lab push aws`."
    )
