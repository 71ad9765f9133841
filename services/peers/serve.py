"""``serve.py fastapi | flask``: how others serve a model, for ``lab serve-bench --peers``.

``fastapi`` is Gunicorn with Uvicorn's worker; ``flask`` NGINX in front of Gunicorn with a
synchronous worker for each core, as in AWS's sample. Each loads the model before it answers.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PORT = os.environ.get("SAGEMAKER_BIND_TO_PORT") or "8080"
CORES = len(os.sched_getaffinity(0))


def gunicorn(app: str, bind: str, *options: str) -> list[str]:
    """Its command line."""
    command = [sys.executable, "-m", "gunicorn", "--chdir", str(HERE.parent), "--bind", bind]
    return [*command, "--no-control-socket", *options, app]


def main(which: str) -> int:
    """Serve until told to stop; the exit code."""
    if which == "fastapi":
        worker = ("--worker-class", "uvicorn.workers.UvicornWorker")
        command = gunicorn("peers.with_fastapi:app", f"0.0.0.0:{PORT}", *worker)
        os.execv(command[0], command)  # noqa: S606  # it is process 1 from here on
    with tempfile.TemporaryDirectory() as folder:
        # Started by root, its workers would become nobody and could not reach the socket.
        user = "user root root;" if os.geteuid() == 0 else ""
        text = (HERE / "nginx.conf").read_text(encoding="utf-8")
        for name, value in (("@FOLDER@", folder), ("@PORT@", PORT), ("@USER@", user)):
            text = text.replace(name, value)
        configuration = Path(folder, "nginx.conf")
        configuration.write_text(text, encoding="utf-8")
        bind = f"unix:{folder}/gunicorn.sock"
        pair = [
            subprocess.Popen(["nginx", "-e", "stderr", "-c", configuration]),  # noqa: S607
            subprocess.Popen(gunicorn("peers.with_flask:app", bind, "--workers", str(CORES))),
        ]

        def stop(*_: object) -> None:
            for one in pair:
                one.terminate()

        signal.signal(signal.SIGTERM, stop)
        os.wait()  # one without the other is of no use
        stop()
        return max(abs(one.wait()) for one in pair)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
