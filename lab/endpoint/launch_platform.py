"""Whether an image is for the processor that it would run on at SageMaker's."""

from lab.endpoint.instances import table
from lab.endpoint.live import VariantPlan
from lab.endpoint.records import Kind
from lab.spec import Platform
from lab.start.cause import EXEC_FORMAT_ERROR


def refusal(plan: VariantPlan, image: Platform, *, machine: Platform) -> str | None:
    """Why a container of an image for ``image`` would not start at SageMaker's; None if it would.

    Emulation would hide it: an arm64 image runs here on what stands for an x86-64 instance.

    Serverless has x86-64: no page of AWS's says that it takes anything else. Where the ``machine``
    itself is arm64 the lab runs arm64 images there all the same, for there every other image would
    be emulated; ``instances.serverless_note`` says so.
    """
    if plan.kind is Kind.SERVERLESS:
        if image in {Platform.AMD64, machine}:
            return None
        return (
            f"{_is_for(plan, image)}, and serverless endpoints have x86-64 processors: no page of "
            f"AWS's says that they take {image.arch}. Build it with --platform {Platform.AMD64}."
        )
    known = table().get(plan.instance_type or "")
    if known is None or known.platform is image:
        return None
    return (
        f"{_is_for(plan, image)}, and {known.name} has {known.processor} processors. Build it with "
        f"--platform {known.platform}, or choose an instance type with {image.arch} processors."
    )


def _is_for(plan: VariantPlan, image: Platform) -> str:
    return f"{EXEC_FORMAT_ERROR}: the image {plan.image} is for {image}"
