"""What may be sent and asked for, by HTTP's own rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestError
from app.media import answer_type, media_type

TAKEN = ("image/png", "application/json")
GIVEN = ("application/json", "text/csv")


@given(accept=st.text(max_size=60))
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    try:
        kind, status = answer_type(accept, GIVEN), 200
    except RequestError as error:
        kind, status = "", error.status
    assert (kind in GIVEN, status) in [(True, 200), (False, 406)]


def test_a_type_is_known_whatever_its_case_and_parameters() -> None:
    assert media_type(" Application/JSON; charset=utf-8", TAKEN) == "application/json"


@pytest.mark.parametrize("header", ["", "text/plain", "image"])
def test_another_type_is_415_and_told_what_is_taken(header: str) -> None:
    with pytest.raises(RequestError, match="send image/png, application/json") as caught:
        media_type(header, TAKEN)
    assert caught.value.status == 415
