"""Images as a scripted engine has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker

BASE = "inference-lab/base:trixie-amd64"
BASE_LABELS = {
    "org.inference-lab.base.source": "packages",
    "org.inference-lab.base.detail": "trixie from http://mirror.example/debian",
    "org.inference-lab.base.recipe": "2",
}


def has_image(
    docker: FakeDocker,
    ref: str,
    *,
    labels: Mapping[str, str] | None = None,
    image_id: str = "sha256:" + "1" * 64,
    layers: int = 1,
    history: Sequence[Mapping[str, Any]] = ({"Size": 10, "CreatedBy": "COPY / /"},),
    platform: Platform = Platform.AMD64,
) -> None:
    docker.answer(
        "GET",
        f"/images/{ref}/json",
        {
            "Id": image_id,
            "Architecture": platform.arch,
            "Size": 10,
            "RepoDigests": [],
            "Config": {"Labels": dict(labels or {})},
            "RootFS": {"Layers": ["sha256:" + "2" * 64] * layers},
        },
    )
    docker.answer("GET", f"/images/{ref}/history", list(history))


def lacks_image(docker: FakeDocker, ref: str) -> None:
    docker.answer("GET", f"/images/{ref}/json", {"message": f"No such image: {ref}"}, status=404)
