import pytest

from lab.endpoint.instances import (
    GIB,
    Machine,
    instance_compute,
    instance_note,
    serverless_compute,
    serverless_note,
    table,
)
from tests.fidelity import ABSENT, OURS, fidelity
from tests.unit.endpoint.controlled import MODEL

SMALL = Machine(cpus=2, memory_bytes=6 * GIB)
LARGE = Machine(cpus=256, memory_bytes=4096 * GIB)


def test_every_type_that_a_variant_may_name_is_in_the_table() -> None:
    assert set(table()) == set(MODEL.shape_for("ProductionVariantInstanceType").enum)


@pytest.mark.parametrize(
    ("name", "vcpus", "gib", "architecture", "accelerator"),
    [
        ("ml.m5.large", 2, 8, "x86_64", None),
        ("ml.c4.large", 2, 3.75, "x86_64", None),
        ("ml.m6g.2xlarge", 8, 32, "arm64", None),
        ("ml.g4dn.xlarge", 4, 16, "x86_64", "gpu"),
        ("ml.inf2.xlarge", 4, 16, "x86_64", "neuron"),
    ],
)
def test_the_table_says_what_aws_says(
    name: str, vcpus: int, gib: float, architecture: str, accelerator: str | None
) -> None:
    row = table()[name]
    assert (row.vcpus, row.memory_bytes) == (vcpus, gib * GIB)
    assert (row.architecture, row.accelerator) == (architecture, accelerator)


@fidelity(
    "Limits",
    "An instance type gets its memory and processors as far as this machine has them; "
    "DescribeEndpoint says what it does not have.",
    ABSENT,
    "https://aws.amazon.com/sagemaker/pricing/",
)
def test_an_instance_is_capped_by_the_machine_which_is_said() -> None:
    compute = instance_compute("ml.m5.xlarge", SMALL)
    assert (compute.cpus, compute.memory_bytes) == (2.0, 6 * GIB)
    note = instance_note("ml.m5.xlarge", SMALL)
    assert note is not None
    assert "2 of 4 vCPU and 6 GiB of 16 GiB memory" in note
    compute = instance_compute("ml.m5.xlarge", LARGE)
    assert (compute.cpus, compute.memory_bytes) == (4.0, 16 * GIB)
    assert instance_note("ml.m5.xlarge", LARGE) is None


def test_an_accelerator_is_said_not_to_be_emulated() -> None:
    assert "does not emulate" in (instance_note("ml.g5.xlarge", LARGE) or "")


def test_a_type_that_nobody_knows_gets_the_whole_machine() -> None:
    compute = instance_compute("ml.x9.large", SMALL)
    assert (compute.cpus, compute.memory_bytes) == (None, None)
    assert "not in the lab's table" in (instance_note("ml.x9.large", SMALL) or "")


@fidelity(
    "Serverless",
    "A tier gets memory / 1769 MB of a vCPU, Lambda's documented ratio, and 5 GB of disk.",
    OURS,
    "AWS publishes no table for serverless inference",
)
def test_a_serverless_tier_gets_lambdas_share_of_a_cpu_and_5_gb_of_disk() -> None:
    compute = serverless_compute(2048, SMALL)
    assert compute.cpus == pytest.approx(1.158, abs=0.001)
    assert (compute.memory_bytes, compute.disk_bytes) == (2 * GIB, 5 * GIB)
    assert serverless_compute(6144, SMALL).cpus == 2.0
    assert serverless_note(2048, SMALL) is None
    assert "2 of 3.47 vCPU" in (serverless_note(6144, SMALL) or "")
