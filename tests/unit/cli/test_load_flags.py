import pytest

from lab.cli.load_flags import ObjectiveFlags, TargetFlags, parse_share
from lab.errors import UsageError
from lab.loadtest.record import Objective


def test_without_a_flag_nothing_is_expected() -> None:
    assert ObjectiveFlags().objective() is None


def test_an_objective_is_a_quantile_and_a_share_of_errors() -> None:
    flags = ObjectiveFlags(p99="1.5s", errors="25%")
    assert flags.objective() == Objective(q=0.99, seconds=1.5, errors=0.25)
    assert ObjectiveFlags(p50="200ms").objective() == Objective(q=0.5, seconds=0.2)


def test_errors_alone_are_an_objective() -> None:
    assert ObjectiveFlags(errors="0").objective() == Objective(errors=0.0)


def test_two_quantiles_are_no_objective() -> None:
    with pytest.raises(UsageError, match="--p50 and --p95"):
        ObjectiveFlags(p50="1s", p95="2s").objective()


@pytest.mark.parametrize("text", ["200", "fast", "-1s", "0s"])
def test_a_bound_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        ObjectiveFlags(p95=text).objective()


@pytest.mark.parametrize(("text", "share"), [("0.1%", 0.001), ("0.01", 0.01), (" 5 % ", 0.05)])
def test_a_share_is_written_in_percent_or_plain(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "few", "-1%", "100%", "1", "nan"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a share"):
        parse_share(text)


def test_a_content_type_without_a_payload_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="needs --payload"):
        TargetFlags(content_type="a/b").payloads()
