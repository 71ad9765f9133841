"""The registry's HTTP interface (OCI distribution), as far as the lab needs it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from lab.errors import RegistryError

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"

REMEDY: Final = "Run it again: the registry is started when it is missing."

_ACCEPT: Final = {"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}, {DOCKER_LIST}, {OCI_INDEX}"}
_TIMEOUT: Final = httpx.Timeout(10.0, read=60.0, write=60.0)
_CHUNK: Final = 1 << 20
_NOT_FOUND: Final = 404


@dataclass(frozen=True, kw_only=True)
class LayerBlob:
    """A layer as it is transferred."""

    digest: str
    compressed_bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An image of one platform as a registry holds it."""

    repository: str
    tag: str
    digest: str
    media_type: str
    config_digest: str
    """Equals the image id on an engine that stores images the classic way."""
    layers: Sequence[LayerBlob]

    @property
    def compressed_bytes(self) -> int:
        """What a machine without a layer downloads: a layer that occurs twice comes once."""
        return sum({layer.digest: layer.compressed_bytes for layer in self.layers}.values())


class Distribution:
    """A registry at ``host:port``, without TLS and passwords: the lab's own."""

    def __init__(self, host: str) -> None:
        self.host = host
        # Proxies and .netrc are for the world, not for 127.0.0.1.
        self._http = httpx.Client(base_url=f"http://{host}", timeout=_TIMEOUT, trust_env=False)

    def answers(self) -> bool:
        """Whether a registry answers there."""
        try:
            return self._http.get("/v2/", timeout=2.0).is_success
        except httpx.HTTPError:
            return False

    def manifest(self, repository: str, tag: str, *, arch: str | None = None) -> Manifest | None:
        """The manifest of an image, or None if there is none.

        Of an image for several platforms, that of ``arch``. Raises ``RegistryError``.
        """
        reference = tag
        while True:
            with self._asking():
                answer = self._http.get(f"/v2/{repository}/manifests/{reference}", headers=_ACCEPT)
                if answer.status_code == _NOT_FOUND:
                    return None
                answer.raise_for_status()
                content = answer.json()
            if "layers" in content:
                return parse_manifest(
                    repository, tag, content, digest=answer.headers["Docker-Content-Digest"]
                )
            reference = _of_arch(repository, tag, content, arch)

    def put_blob(self, repository: str, path: Path) -> str:
        """Upload a file unless it is there; its digest, ``sha256:...``."""
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        with self._asking():
            if self._http.head(f"/v2/{repository}/blobs/{digest}").is_success:
                return digest
            begun = self._http.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
            where = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
            self._http.put(
                where,
                content=_chunks(path),
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(path.stat().st_size),
                },
            ).raise_for_status()
        return digest

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as error:
            answer = error.response
            raise RegistryError(
                f"The registry at {self.host} answered {answer.status_code} to "
                f"{answer.request.method} {answer.request.url.path}: {answer.text[:200]}",
                remedy=REMEDY,
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(
                f"The registry at {self.host} does not answer: {error}.", remedy=REMEDY
            ) from error


def parse_manifest(
    repository: str, tag: str, content: Mapping[str, Any], *, digest: str
) -> Manifest:
    """A manifest from its JSON."""
    return Manifest(
        repository=repository,
        tag=tag,
        digest=digest,
        media_type=content.get("mediaType", OCI_MANIFEST),
        config_digest=content["config"]["digest"],
        layers=tuple(
            LayerBlob(digest=layer["digest"], compressed_bytes=layer["size"])
            for layer in content["layers"]
        ),
    )


def _of_arch(repository: str, tag: str, content: Mapping[str, Any], arch: str | None) -> str:
    """The digest of one platform's manifest. Attestations are entries of platform ``unknown``."""
    of = {
        entry["platform"]["architecture"]: entry["digest"]
        for entry in content.get("manifests") or ()
        if entry.get("platform", {}).get("architecture", "unknown") != "unknown"
    }
    if arch is None and len(of) == 1:
        return str(*of.values())
    if arch is None or arch not in of:
        raise RegistryError(
            f"{repository}:{tag} is in the registry for {', '.join(sorted(of)) or 'no platform'}, "
            f"not for {arch or 'one platform'}.",
            remedy="Push the image for the platform that is to be measured.",
        )
    return str(of[arch])


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
