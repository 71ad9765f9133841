"""Data capture: copies of requests and answers as JSON lines in S3, as Model Monitor reads them.

The hot path only appends to a list. Encoding and writing happen in a thread; when S3 is slow or
gone, copies are dropped rather than memory filled, and the log says how many.
"""

import asyncio
import base64
import contextlib
import json
import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from lab.endpoint.clock import Clock
from lab.endpoint.live import LiveEndpoint
from lab.endpoint.s3 import ObjectError, S3Objects
from lab.endpoint.transport import ContainerAnswer, ContainerCall

_LOG = logging.getLogger(__name__)

FLUSH_S: Final = 60.0
"""A file is written when its first line is this old ..."""
FLUSH_BYTES: Final = 4 * 1024 * 1024
"""... or its bodies come to this much."""
HELD_BYTES: Final = 64 * 1024 * 1024
"""Bodies that wait to be written, in all; copies beyond are dropped."""
_LINE_BYTES = 512
"""What a line costs beside its bodies."""
_TICK_S = 1.0
_ATTEMPTS = 3
_RETRY_S = 2.0
_CLOSE_S = 10.0

_ALL = 100
_INPUT = frozenset({"Input", "InputAndOutput"})
_OUTPUT = frozenset({"Output", "InputAndOutput"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copy:
    request: ContainerCall | None
    answer: ContainerAnswer | None
    inference_id: str | None
    at: float
    csv: Sequence[str] = ()
    json: Sequence[str] = ()


@dataclass(kw_only=True, slots=True)
class _Batch:
    """Lines of one file: of one variant in one hour."""

    folder: str
    opened: float
    """Monotonic."""
    size: int
    copies: list[_Copy]


class S3Capture:
    """Buffers copies and writes them to ``{destination}/{endpoint}/{variant}/yyyy/mm/dd/hh/``."""

    def __init__(
        self,
        *,
        objects: S3Objects,
        clock: Clock,
        rng: random.Random | None = None,
        flush_bytes: int = FLUSH_BYTES,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._rng = rng or random.Random()
        self._flush_bytes = flush_bytes
        self._held_bytes = held_bytes
        self._open: dict[str, _Batch] = {}
        self._held = 0
        self._dropped = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="capture")
        self._ticking: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def dropped(self) -> int:
        """Copies that were not kept or could not be written."""
        return self._dropped

    async def start(self) -> None:
        self._ticking = asyncio.create_task(self._tick(), name="capture")

    async def close(self) -> None:
        """Write what is held, for as long as that is no nuisance, and end."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        for folder in tuple(self._open):
            self._flush(folder)
        if self._writing:
            _, late = await asyncio.wait(tuple(self._writing), timeout=_CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def record(
        self,
        endpoint: LiveEndpoint,
        variant: str,
        *,
        request: ContainerCall,
        answer: ContainerAnswer,
        inference_id: str | None,
        at: float,
    ) -> None:
        """Keep a copy, if this one is in the sample. Returns at once, and never raises."""
        try:
            copy = _Copy(request=request, answer=answer, inference_id=inference_id, at=at)
            self._keep(endpoint, variant, copy)
        except Exception:  # noqa: BLE001 - capture must not fail the request
            self._dropped += 1
            _LOG.exception("Data capture of %s failed for one request.", endpoint.name)

    def _keep(self, endpoint: LiveEndpoint, variant: str, copy: _Copy) -> None:
        config = endpoint.capture
        if config is None or not config.get("EnableCapture", True):
            return
        if self._rng.random() * _ALL >= config["InitialSamplingPercentage"]:
            return
        modes = {str(option["CaptureMode"]) for option in config["CaptureOptions"]}
        kinds = config.get("CaptureContentTypeHeader") or {}
        copy = replace(
            copy,
            request=copy.request if modes & _INPUT else None,
            answer=copy.answer if modes & _OUTPUT else None,
            csv=kinds.get("CsvContentTypes") or (),
            json=kinds.get("JsonContentTypes") or (),
        )
        size = _LINE_BYTES
        size += len(copy.request.body) if copy.request else 0
        size += len(copy.answer.body) if copy.answer else 0
        if self._held + size > self._held_bytes:
            self._drop(1, "as too much waits to be written; see whether S3 is slow")
            return
        root = str(config["DestinationS3Uri"]).rstrip("/")
        hour = datetime.fromtimestamp(copy.at, UTC).strftime("%Y/%m/%d/%H")
        folder = f"{root}/{endpoint.name}/{variant}/{hour}"
        batch = self._open.get(folder)
        if batch is None:
            opened = self._clock.monotonic()
            batch = self._open[folder] = _Batch(folder=folder, opened=opened, size=0, copies=[])
        batch.copies.append(copy)
        batch.size += size
        self._held += size
        if batch.size >= self._flush_bytes:
            self._flush(folder)

    def _drop(self, count: int, why: str) -> None:
        before, self._dropped = self._dropped, self._dropped + count
        if len(str(before)) < len(str(self._dropped)) or not before:  # at 1, 10, 100, ...
            _LOG.warning("Data capture dropped %d requests so far, %s.", self._dropped, why)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_S)
            due = self._clock.monotonic() - FLUSH_S
            for folder in [folder for folder, batch in self._open.items() if batch.opened <= due]:
                self._flush(folder)

    def _flush(self, folder: str) -> None:
        batch = self._open.pop(folder)
        task = asyncio.get_running_loop().create_task(self._write(batch))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, batch: _Batch) -> None:
        when = datetime.fromtimestamp(batch.copies[0].at, UTC)
        name = f"{when:%M-%S}-{when.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        uri = f"{batch.folder}/{name}"
        loop = asyncio.get_running_loop()
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    await loop.run_in_executor(self._thread, self._put, uri, batch.copies)
                except ObjectError as error:
                    if attempt == _ATTEMPTS:
                        self._drop(len(batch.copies), f"as they could not be written: {error}")
                    else:
                        await self._clock.sleep(_RETRY_S)
                else:
                    return
        except asyncio.CancelledError:
            self._drop(len(batch.copies), "as S3 was too slow when the emulator ended")
            raise
        except Exception:  # noqa: BLE001 - nobody awaits this task
            self._dropped += len(batch.copies)
            _LOG.exception("Data capture could not write %s.", uri)
        finally:
            self._held -= batch.size

    def _put(self, uri: str, copies: Sequence[_Copy]) -> None:
        lines = "".join(json.dumps(_line(copy), separators=(",", ":")) + "\n" for copy in copies)
        self._objects.write(uri, lines.encode(), content_type="application/x-jsonlines")


def _line(copy: _Copy) -> Mapping[str, Any]:
    data = {}
    if copy.request is not None:
        data["endpointInput"] = _side("INPUT", copy.request.headers, copy.request.body, copy)
    if copy.answer is not None:
        data["endpointOutput"] = _side("OUTPUT", copy.answer.headers, copy.answer.body, copy)
    about = {"eventId": str(uuid.uuid4())}
    if copy.inference_id:
        about["inferenceId"] = copy.inference_id
    about["inferenceTime"] = f"{datetime.fromtimestamp(copy.at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"captureData": data, "eventMetadata": about, "eventVersion": "0"}


def _side(mode: str, headers: Mapping[str, str], body: bytes, copy: _Copy) -> Mapping[str, str]:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    data, encoding = _encoded(kind, body, copy)
    observed = {"observedContentType": kind} if kind else {}
    return {**observed, "mode": mode, "data": data, "encoding": encoding}


def _encoded(kind: str, body: bytes, copy: _Copy) -> tuple[str, str]:
    """Plain for the content types that the configuration lists, parameters aside; else base64."""
    bare = kind.partition(";")[0].strip().lower()
    for listed, encoding in ((copy.csv, "CSV"), (copy.json, "JSON")):
        if bare in {one.lower() for one in listed}:
            with contextlib.suppress(UnicodeDecodeError):
                return body.decode(), encoding
    return base64.b64encode(body).decode(), "BASE64"
