import pytest

from lab.endpoint.instances import GIB, Machine
from lab.errors import UsageError
from lab.loadtest.targets.sizes import HOST, Size
from lab.spec import MB_PER_VCPU, Platform

SMALL = Machine(cpus=2, memory_bytes=4 * GIB, platform=Platform.AMD64)
LARGE = Machine(cpus=64, memory_bytes=512 * GIB, platform=Platform.AMD64)


@pytest.mark.parametrize("text", ["2048", "2048MB", "2GB", "2 GB", "2gib"])
def test_a_memory_size_is_written_in_megabytes_or_gigabytes(text: str) -> None:
    size = Size.parse(text)
    assert (size.name, size.memory_bytes, size.serverless) == ("2048", 2 * GIB, True)
    assert size.cpus == pytest.approx(2048 / MB_PER_VCPU)


def test_an_instance_type_has_the_processors_and_the_memory_of_the_table() -> None:
    size = Size.parse("ml.m6g.xlarge")
    assert (size.memory_bytes, size.cpus, size.serverless) == (16 * GIB, 4.0, False)
    assert size.platform is Platform.ARM64


@pytest.mark.parametrize("text", ["512", "7168", "1500", "7GB", "0"])
def test_a_memory_size_that_serverless_inference_has_not_is_refused_with_those_it_has(
    text: str,
) -> None:
    with pytest.raises(UsageError, match="1024, 2048, 3072, 4096, 5120, 6144"):
        Size.parse(text)


def test_an_unknown_instance_type_is_refused_with_one_that_is_like_it() -> None:
    with pytest.raises(UsageError, match=r"Did you mean ml\.m5\.large\?"):
        Size.parse("ml.m5.larg")


@pytest.mark.parametrize("text", ["", "big", "-1024", "2TB"])
def test_what_is_no_size_at_all_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UsageError, match=r"an instance type like ml\.m5\.large, or host"):
        Size.parse(text)


def test_on_a_machine_that_is_large_enough_a_size_is_given_whole_and_nothing_is_said() -> None:
    given = Size.parse("ml.m5.xlarge").given(LARGE)
    assert (given.compute.cpus, given.compute.memory_bytes) == (4.0, 16 * GIB)
    assert not given.notes


def test_processors_beyond_the_machine_s_are_not_given_and_that_is_said() -> None:
    given = Size.parse("4096").given(SMALL)
    assert given.compute.cpus == 2.0
    assert "2 of 2.32 vCPU" in " ".join(given.notes)


def test_an_instance_larger_than_the_machine_gets_what_there_is_and_that_is_said() -> None:
    given = Size.parse("ml.m5.xlarge").given(SMALL)
    assert (given.compute.cpus, given.compute.memory_bytes) == (2.0, 4 * GIB)
    assert "2 of 4 vCPU and 4 GiB of 16 GiB memory" in " ".join(given.notes)


def test_a_memory_size_that_the_machine_has_not_is_refused_with_those_that_fit() -> None:
    with pytest.raises(UsageError, match=r"it has 4 GiB.*1024, 2048, 3072, 4096"):
        Size.parse("5GB").given(SMALL)


def test_an_instance_with_an_accelerator_is_refused() -> None:
    with pytest.raises(UsageError, match="accelerator"):
        Size.parse("ml.g4dn.xlarge").given(LARGE)


def test_a_serverless_size_on_a_machine_of_arm_says_what_that_proves() -> None:
    arm = Machine(cpus=64, memory_bytes=512 * GIB, platform=Platform.ARM64)
    assert "x86-64 images only" in " ".join(Size.parse("1024").given(arm).notes)


def test_the_host_has_no_limits() -> None:
    given = HOST.given(SMALL)
    assert (given.compute.memory_bytes, given.compute.cpus, given.notes) == (None, None, ())
