"""The service's knobs, read from the environment once. Standard library only."""

from . import limits
from .errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BACKENDS = ("onnx", "onnx-capi", "tensorflow")
HTTP = ("fastapi", "slim")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

_MB = 1024 * 1024


class Settings:
    """See the table in the service's README for what each knob does."""

    def __init__(self, env: "Mapping[str, str]", *, root: str = "/") -> None:
        self.cpus = limits.cpus(root)
        self.memory_bytes = limits.memory_bytes(root)
        self.port = _number(env, "SAGEMAKER_BIND_TO_PORT", 8080, least=1, most=65535)
        self.host = env.get("LAB_BIND_HOST") or "0.0.0.0"  # noqa: S104  # a container's port
        self.backend = _choice(env, "LAB_BACKEND", "onnx", BACKENDS)
        self.http = _choice(env, "LAB_HTTP", "fastapi", HTTP)
        self.nginx = env.get("LAB_NGINX", "0") not in ("", "0", "false")
        self.model_dir = env.get("LAB_MODEL_DIR") or "/opt/ml/model"
        self.ort_library = env.get("LAB_ORT_LIBRARY") or "libonnxruntime.so.1"
        # One worker, because each has its own copy of the model; a core per thread, because a
        # prediction keeps a core busy from beginning to end.
        self.workers = _number(env, "SAGEMAKER_MODEL_SERVER_WORKERS", 1, least=1, most=64)
        if self.http == "slim":
            self.workers = 1
        self.threads = _number(env, "LAB_THREADS", max(1, int(self.cpus)), least=1, most=256)
        self.timeout_s = _number(env, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 60, least=1, most=3600)
        self.max_body_bytes = _number(env, "LAB_MAX_BODY_BYTES", 25 * _MB, least=1, most=1024 * _MB)
        self.max_image_pixels = _number(
            env, "LAB_MAX_IMAGE_PIXELS", 50_000_000, least=1, most=1_000_000_000
        )
        self.max_instances = _number(env, "LAB_MAX_INSTANCES", 256, least=1, most=100_000)
        self.default_accept = env.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or "application/json"
        self.log_level = _choice(env, "LAB_LOG_LEVEL", "warning", LOG_LEVELS)
        self.temporary = env.get("TMPDIR") or "/tmp"  # noqa: S108  # the one place that is writable

    @property
    def max_waiting(self) -> int:
        """How many requests may be in the house, in one process, before others get 503."""
        return 256

    @property
    def max_waiting_bytes(self) -> int:
        """How many bytes their bodies may take: a quarter of the memory, one body at least."""
        budget = 1024 * _MB if self.memory_bytes is None else self.memory_bytes // 4
        return max(budget, self.max_body_bytes)


def _number(env: "Mapping[str, str]", name: str, default: int, *, least: int, most: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise StartError(f"{name}={text!r} is not a whole number from {least} to {most}.")
    return int(text)


def _choice(env: "Mapping[str, str]", name: str, default: str, choices: tuple[str, ...]) -> str:
    text = env.get(name, "").strip().lower() or default
    if text not in choices:
        raise StartError(f"{name}={text!r} is not one of {', '.join(choices)}.")
    return text
