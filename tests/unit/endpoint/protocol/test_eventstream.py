import random

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from lab.endpoint.protocol.eventstream import (
    Rechunker,
    StreamCode,
    internal_stream_failure,
    model_stream_error,
    payload_part,
)
from tests.fidelity import DOCUMENTED, SEEN, fidelity


def parsed(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(dict(message.headers), message.payload) for message in buffer]


@fidelity(
    "Streams",
    "An answer comes as application/vnd.amazon.eventstream in PayloadPart messages.",
    DOCUMENTED,
    "botocore: ResponseStream",
)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_botocore_reads_back_every_part(payloads: list[bytes]) -> None:
    found = parsed(b"".join(payload_part(payload) for payload in payloads))
    assert [payload for _, payload in found] == payloads
    for headers, _ in found:
        assert headers == {
            ":message-type": "event",
            ":event-type": "PayloadPart",
            ":content-type": "application/octet-stream",
        }


@fidelity(
    "Streams",
    "A stream that breaks off ends with ModelStreamError and its ErrorCode.",
    DOCUMENTED,
    "botocore: ModelStreamError",
)
def test_botocore_reads_a_broken_stream_as_an_exception() -> None:
    ((headers, payload),) = parsed(model_stream_error("It broke.", StreamCode.BROKEN))
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ModelStreamError"
    assert payload == b'{"Message": "It broke.", "ErrorCode": "StreamBroken"}'


def test_botocore_reads_our_own_failure_as_an_exception() -> None:
    ((headers, payload),) = parsed(internal_stream_failure("Ours."))
    assert headers[":exception-type"] == "InternalStreamFailure"
    assert payload == b'{"Message": "Ours."}'


@given(st.lists(st.binary(max_size=500), max_size=8), st.integers())
def test_cutting_anew_changes_neither_order_nor_content(chunks: list[bytes], seed: int) -> None:
    cutter = Rechunker(random.Random(seed))
    parts = [part for chunk in chunks for part in cutter.feed(chunk)] + cutter.flush()
    assert b"".join(parts) == b"".join(chunks)
    assert all(parts)
    assert not cutter.holds


@pytest.mark.parametrize("seed", range(20))
def test_no_part_and_nothing_held_back_is_larger_than_64_kib(seed: int) -> None:
    cutter = Rechunker(random.Random(seed))
    parts = cutter.feed(bytes(1_000_000)) + cutter.flush()
    assert max(map(len, parts)) <= 65536


@fidelity(
    "Streams",
    "Parts are not aligned with what the model wrote: the emulator cuts them anew, at random.",
    SEEN,
    "https://github.com/strands-agents/harness-sdk/issues/4035",
)
def test_parts_are_not_aligned_with_the_models_chunks() -> None:
    cutter = Rechunker(random.Random(7))
    chunks = [f"data: {number}\n\n".encode() for number in range(50)]
    parts = [part for chunk in chunks for part in cutter.feed(chunk)] + cutter.flush()
    assert sum(part in chunks for part in parts) < len(chunks) / 2
