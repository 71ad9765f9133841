"""Decode and predict without any HTTP: the ceiling that a server is measured against.

``python -m app.inprocess --payload FILE --content-type T --requests N --threads K`` prints one
line of JSON: latencies and time in seconds, requests per second.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from . import backends, card, tasks
from .errors import RequestError, StartError
from .marks import Marks
from .predictor import Predictor
from .service import log_error
from .settings import Settings
from .startup import EXIT_CODE, crowd, load

_WARM_UP = 3


def measure(
    predictor: Predictor, kind: str, body: bytes, *, requests: int, threads: int
) -> dict[str, object]:
    """Decode and predict ``body`` in all ``requests`` times, on ``threads`` threads at once."""
    tickets = count()
    latencies: list[float] = []

    def work() -> None:
        while next(tickets) < requests:
            begun = time.perf_counter()
            predictor.run(kind, body)
            latencies.append(time.perf_counter() - begun)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begun
    return {
        "latencies_s": [round(latency, 7) for latency in latencies],
        "seconds": round(seconds, 6),
        "requests_per_s": round(len(latencies) / seconds, 3),
        "threads": threads,
    }


def main(arguments: Sequence[str]) -> int:
    """The command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.inprocess", description=__doc__)
    parser.add_argument("--payload", required=True, type=Path)
    parser.add_argument("--content-type", required=True)
    parser.add_argument("--requests", required=True, type=int)
    parser.add_argument("--threads", required=True, type=int)
    options = parser.parse_args(arguments)
    if options.requests < 1 or options.threads < 1:
        parser.error("--requests and --threads must be 1 at least")
    try:
        settings = Settings(os.environ)
        marks = Marks(time.time_ns())
        model = card.read(settings.model_dir)
        task = tasks.fit(tasks.task_class(model, settings.model_dir), model, settings)
        runtime = backends.module(settings.backend)
        backend = load(settings, model, runtime, marks)
        predictor = Predictor(crowd(settings, model, runtime, backend), task)
        body = options.payload.read_bytes()
        kind, _ = predictor.types(options.content_type, "")
        for _ in range(_WARM_UP):
            predictor.run(kind, body)
    except (StartError, RequestError, OSError) as error:
        log_error(str(error))
        return EXIT_CODE
    result = measure(predictor, kind, body, requests=options.requests, threads=options.threads)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
