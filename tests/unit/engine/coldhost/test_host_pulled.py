import pytest

from lab.engine.api import LayerEvent
from lab.engine.coldhost.pulled import NotColdError, downloaded_at, layers_pulled

ORDINARY = ("Pulling fs layer", "Downloading", "Download complete", "Extracting", "Pull complete")


def layer(name: str, *statuses: str, begin: int = 0) -> list[LayerEvent]:
    return [
        LayerEvent(layer=name, status=status, at_ns=begin + step)
        for step, status in enumerate(statuses)
    ]


def test_every_layer_that_was_downloaded_and_unpacked_counts_once() -> None:
    events = [
        *layer("amd64", "Pulling from inference-lab/onnx"),
        *layer("a1", *ORDINARY),
        *layer("b2", "Pulling fs layer", "Waiting", *ORDINARY[1:]),
    ]

    assert layers_pulled(events) == 2


def test_a_layer_that_the_engine_had_is_named() -> None:
    events = [*layer("a1", "Already exists"), *layer("b2", *ORDINARY)]

    with pytest.raises(NotColdError, match="already had layer a1"):
        layers_pulled(events)


def test_a_pull_of_an_image_that_is_up_to_date_is_refused() -> None:
    with pytest.raises(NotColdError, match="pulled no layer"):
        layers_pulled(layer("amd64", "Pulling from inference-lab/onnx"))


def test_a_layer_that_was_never_finished_proves_nothing() -> None:
    with pytest.raises(NotColdError, match=r"Pull complete.*layer a1"):
        layers_pulled(layer("a1", *ORDINARY[:-1]))


@pytest.mark.parametrize(
    ("told", "at"),
    [
        (("Pulling fs layer", "Downloading", "Extracting", "Pull complete"), 102),
        (("Pulling fs layer", "Pull complete"), 101),
    ],
)
def test_a_state_that_was_soon_over_and_not_told_is_known_by_the_next(
    told: tuple[str, ...], at: int
) -> None:
    events = layer("a1", *told, begin=100)

    assert layers_pulled(events) == 1
    assert downloaded_at(events) == at


def test_the_download_ends_with_the_last_layer() -> None:
    events = [
        *layer("a1", *ORDINARY, begin=100),
        *layer("b2", *ORDINARY, begin=50),
    ]

    assert downloaded_at(events) == 102
