"""The vocabulary holds together."""

import pytest

from lab.spec import HOST_TIER, SERVERLESS_TIERS, Mark, Phase, Platform, Tier


def test_serverless_offers_six_tiers_of_one_to_six_gigabytes() -> None:
    assert [tier.memory_mb for tier in SERVERLESS_TIERS] == [1024, 2048, 3072, 4096, 5120, 6144]


def test_a_tier_gets_a_vcpu_for_every_1769_megabytes() -> None:
    assert Tier(memory_mb=1769).cpus == 1.0
    assert Tier(memory_mb=3072).cpus == pytest.approx(1.7366, abs=1e-4)


def test_a_tiers_megabytes_are_binary() -> None:
    assert Tier(memory_mb=1024).memory_bytes == 2**30


def test_the_hosts_tier_has_no_limit() -> None:
    assert (HOST_TIER.name, HOST_TIER.memory_bytes, HOST_TIER.cpus) == ("host", None, None)


def test_a_platform_knows_its_architecture() -> None:
    assert Platform.ARM64.arch == "arm64"


def test_every_phase_that_the_architecture_names_is_in_its_order() -> None:
    assert " ".join(Phase) == (
        "image_mount image_pull image_unpack model_fetch create start boot interpreter imports "
        "model_load serve ready first_prediction"
    )


def test_marks_are_in_the_order_in_which_events_come() -> None:
    marks = list(Mark)
    assert marks.index(Mark.STARTED) < marks.index(Mark.INTERPRETER) < marks.index(Mark.READY)
