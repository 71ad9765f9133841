"""Process 1: NGINX and Gunicorn side by side. NGINX ends first, while Gunicorn still answers it."""

import time

INTERPRETER = str(time.time_ns())

import os
import signal
import subprocess
import sys

GUNICORN = (
    *("python3", "-m", "gunicorn", "app:app", "--bind=unix:/tmp/gunicorn.sock", "--preload"),
    *("--worker-class=gthread", "--threads=8", "--timeout=65", "--graceful-timeout=25"),
    *("--worker-tmp-dir=/dev/shm", "--no-control-socket"),
)
gunicorn = subprocess.Popen(GUNICORN, env={**os.environ, "INTERPRETER": INTERPRETER})
nginx = subprocess.Popen(("nginx", "-e", "stderr", "-c", "/opt/program/nginx.conf"))


def stop(*_: object) -> None:
    time.sleep(1)  # for what still waits in the socket's queue
    nginx.send_signal(signal.SIGQUIT)  # SIGTERM would cut off what it has accepted


signal.signal(signal.SIGTERM, stop)
ended, status = os.wait()  # either of them: at SIGTERM it is NGINX, once it has answered everything
other = gunicorn if ended == nginx.pid else nginx
other.send_signal(signal.SIGTERM)
other.wait()
sys.exit(os.waitstatus_to_exitcode(status))
