import random
from collections import Counter
from typing import cast

import pytest

from lab.endpoint.live import LiveEndpoint, LiveVariant, Pool
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime.routing import choose, shadows

NO_POOL = cast("Pool", None)


def endpoint(weights: dict[str, float], *, shadow: float | None = None) -> LiveEndpoint:
    return LiveEndpoint(
        name="e",
        kind=EndpointKind.REAL_TIME,
        generation=1,
        variants=[LiveVariant(name=n, pool=NO_POOL, weight=w) for n, w in weights.items()],
        shadows=() if shadow is None else [LiveVariant(name="shadow", pool=NO_POOL, weight=shadow)],
    )


def shares(live: LiveEndpoint, times: int = 4000) -> dict[str, float]:
    rng = random.Random(1)
    counted = Counter(choose(live, None, rng).name for _ in range(times))
    return {name: count / times for name, count in counted.items()}


def test_the_only_variant_gets_everything_whatever_its_weight() -> None:
    assert shares(endpoint({"a": 0.0})) == {"a": 1.0}


def test_traffic_is_shared_by_weight() -> None:
    found = shares(endpoint({"a": 3.0, "b": 1.0}))
    assert found["a"] == pytest.approx(0.75, abs=0.03)


def test_a_weight_of_0_gets_nothing() -> None:
    assert shares(endpoint({"a": 0.0, "b": 1.0, "c": 0.0})) == {"b": 1.0}


def test_weights_that_are_all_0_share_evenly() -> None:
    assert shares(endpoint({"a": 0.0, "b": 0.0}))["a"] == pytest.approx(0.5, abs=0.03)


def test_the_target_variant_overrides_the_weights() -> None:
    assert choose(endpoint({"a": 1.0, "b": 0.0}), "b", random.Random()).name == "b"


def test_an_unknown_target_variant_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ApiError) as refused:
        choose(endpoint({"a": 1.0, "b": 0.0}), "c", random.Random())
    assert refused.value.code == "ValidationError"
    assert "a, b" in str(refused.value)


@pytest.mark.parametrize(("weight", "share"), [(1.0, 1.0), (2.0, 1.0), (0.25, 0.25), (0.0, 0.0)])
def test_a_shadow_sees_its_weight_relative_to_the_variants(weight: float, share: float) -> None:
    live = endpoint({"a": 1.0}, shadow=weight)
    rng = random.Random(1)
    seen = sum(len(shadows(live, live.variants[0], rng)) for _ in range(4000)) / 4000
    assert seen == pytest.approx(share, abs=0.03)
