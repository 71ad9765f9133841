import inspect
from collections.abc import Iterator

import docker.errors
import pytest
import requests
import requests.exceptions
import urllib3.exceptions

from lab.engine.docker.errors import FOREIGN, translate, translated
from lab.errors import DiskFullError, EngineError, ImageNotFoundError, LabError, PortTakenError


def _foreign_classes() -> Iterator[type[Exception]]:
    for module in (docker.errors, requests.exceptions, urllib3.exceptions):
        for _, found in inspect.getmembers(module, inspect.isclass):
            of_its_own = found.__module__ == module.__name__
            if of_its_own and issubclass(found, Exception) and not issubclass(found, Warning):
                yield found


@pytest.mark.parametrize("kind", sorted(set(_foreign_classes()), key=str), ids=str)
def test_every_error_of_the_libraries_below_is_in_the_table(kind: type[Exception]) -> None:
    assert issubclass(kind, FOREIGN), "it would pass through unseen"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("write /var/lib/x: no space left on device", DiskFullError),
        ("Bind for 0.0.0.0:8080 failed: port is already allocated", PortTakenError),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", PortTakenError),
        ("No such image: x:1", ImageNotFoundError),
        ("manifest for x:1 not found: manifest unknown", ImageNotFoundError),
        ("pull access denied for x, repository does not exist", ImageNotFoundError),
    ],
)
def test_the_engine_s_words_decide(said: str, expected: type[LabError]) -> None:
    ours = translate(docker.errors.APIError("500", explanation=said))
    assert type(ours) is expected
    assert ours.remedy


def test_an_engine_that_is_gone_comes_with_a_remedy() -> None:
    ours = translate(requests.exceptions.ConnectionError("refused"))
    assert "does not answer" in ours.what
    assert "lab engine up" in ours.remedy


def test_the_block_lets_no_foreign_error_out_and_keeps_its_cause() -> None:
    with pytest.raises(EngineError) as caught, translated():
        raise requests.exceptions.ReadTimeout
    assert isinstance(caught.value.__cause__, requests.exceptions.ReadTimeout)


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError("x")
