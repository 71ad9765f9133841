import random
from collections import Counter
from itertools import pairwise
from typing import cast

import pytest

from lab.endpoint.live import LiveEndpoint, LiveVariant, Pool, Server
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.records import EndpointKind
from lab.endpoint.runtime.routing import by_prefix, choose, shadows
from tests.fidelity import DOCUMENTED, OURS, fidelity
from tests.unit.endpoint.standins import FakePool, plan, server

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


@fidelity(
    "Routing",
    "A variant gets its weight's share of the sum of weights, drawn anew for each request.",
    DOCUMENTED,
    "botocore: ProductionVariant.InitialVariantWeight",
)
def test_traffic_is_shared_by_weight() -> None:
    found = shares(endpoint({"a": 3.0, "b": 1.0}))
    assert found["a"] == pytest.approx(0.75, abs=0.03)


def test_variants_are_drawn_and_do_not_take_turns() -> None:
    live, rng = endpoint({"a": 1.0, "b": 1.0}), random.Random(1)
    drawn = [choose(live, None, rng).name for _ in range(4000)]
    assert sum(one == two for one, two in pairwise(drawn)) / 4000 == pytest.approx(0.5, abs=0.03)


def test_a_weight_of_0_gets_nothing() -> None:
    assert shares(endpoint({"a": 0.0, "b": 1.0, "c": 0.0})) == {"b": 1.0}


@fidelity(
    "Routing",
    "Weights that are all 0 share evenly.",
    OURS,
    "AWS refuses to set them; an even share is what equal weights mean elsewhere",
)
def test_weights_that_are_all_0_share_evenly() -> None:
    assert shares(endpoint({"a": 0.0, "b": 0.0}))["a"] == pytest.approx(0.5, abs=0.03)


@fidelity(
    "Routing",
    "TargetVariant reaches any production variant, one of weight 0 too.",
    DOCUMENTED,
    "botocore: InvokeEndpointInput.TargetVariant",
)
def test_the_target_variant_overrides_the_weights() -> None:
    assert choose(endpoint({"a": 1.0, "b": 0.0}), "b", random.Random()).name == "b"


@fidelity(
    "Routing",
    "A TargetVariant that is none of the production variants, a shadow among them, is refused as "
    "a ValidationError that names those there are.",
    OURS,
    "the kind of error is documented, its sentence is not published",
)
@pytest.mark.parametrize("target", ["c", "A", "shadow"])
def test_an_unknown_target_variant_is_refused_with_the_ones_there_are(target: str) -> None:
    with pytest.raises(ApiError) as refused:
        choose(endpoint({"a": 1.0, "b": 0.0}, shadow=1.0), target, random.Random())
    assert refused.value.code == "ValidationError"
    assert "a, b" in str(refused.value)


@fidelity(
    "Routing",
    "A shadow gets copies in proportion to its weight against the production variant's.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/dg/model-shadow-deployment.html",
)
@pytest.mark.parametrize(("weight", "share"), [(1.0, 1.0), (2.0, 1.0), (0.25, 0.25), (0.0, 0.0)])
def test_a_shadow_sees_its_weight_relative_to_the_variants(weight: float, share: float) -> None:
    live = endpoint({"a": 1.0}, shadow=weight)
    rng = random.Random(1)
    seen = sum(len(shadows(live, live.variants[0], rng)) for _ in range(4000)) / 4000
    assert seen == pytest.approx(share, abs=0.03)


# --- by prefix -----------------------------------------------------------------------------------


def prefixed(*servers: Server) -> FakePool:
    aware = plan(routing="PREFIX_AWARE", prefix_bytes=1024, prefix_at_once=2)
    return FakePool(plan=aware, servers=list(servers))


THREE = ("i-1", "i-2", "i-3")


@fidelity(
    "Routing",
    "PREFIX_AWARE sends requests whose first PrefixLength bytes are the same to the same instance.",
    DOCUMENTED,
    "botocore: PrefixAwareRoutingConfig",
)
def test_requests_that_begin_alike_go_to_the_same_instance() -> None:
    pool = prefixed(*map(server, THREE))
    for number in range(50):
        prefix = f"{number}".encode() * 1024
        assert by_prefix(pool, prefix + b"one", "") == by_prefix(pool, prefix + b"two", "")
    shared = Counter(by_prefix(pool, f"{number}".encode(), "") for number in range(300))
    assert min(shared.values()) > 60
    assert set(shared) == set(THREE)


@fidelity(
    "Routing",
    "Requests of different PrefixAwareIds are routed apart though they begin alike.",
    DOCUMENTED,
    "botocore: InvokeEndpointInput.PrefixAwareId",
)
def test_tenants_that_begin_alike_are_routed_apart() -> None:
    pool = prefixed(*map(server, THREE))
    assert {by_prefix(pool, b"same", f"tenant-{number}") for number in range(50)} == set(THREE)


def test_a_new_instance_takes_over_its_share_of_prefixes_and_no_more() -> None:
    before, after = prefixed(*map(server, THREE)), prefixed(*map(server, (*THREE, "i-4")))
    bodies = [f"{number}".encode() for number in range(300)]
    moved = [by_prefix(after, body, "") for body in bodies]
    for body, now in zip(bodies, moved, strict=True):
        assert now in {"i-4", by_prefix(before, body, "")}
    assert 40 < moved.count("i-4") < 120


@fidelity(
    "Routing",
    "With ConcurrencyThreshold requests under way at a prefix's instance, the next goes elsewhere.",
    DOCUMENTED,
    "botocore: PrefixAwareRoutingConfig.ConcurrencyThreshold",
)
def test_a_busy_instance_does_not_get_all_of_its_prefix() -> None:
    servers = [*map(server, THREE)]
    pool = prefixed(*servers)
    chosen = next(one for one in servers if one.id == by_prefix(pool, b"hot", ""))
    chosen.in_flight = 1
    assert by_prefix(pool, b"hot", "") == chosen.id
    chosen.in_flight = 2
    assert by_prefix(pool, b"hot", "") is None


def test_no_prefix_decides_where_there_is_one_instance_or_another_strategy() -> None:
    assert by_prefix(prefixed(server()), b"any", "") is None
    assert by_prefix(FakePool(plan=plan(), servers=[*map(server, THREE)]), b"any", "") is None
