"""The registry's HTTP interface (OCI distribution), as far as the lab needs it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from lab.engine.manifests import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    ListEntry,
    Manifest,
    ManifestList,
    list_document,
    parse_list,
    parse_manifest,
    part_of,
)
from lab.errors import RegistryError
from lab.tls import context

REMEDY: Final = "Run it again: the registry is started when it is missing."

_ACCEPT: Final = {"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}, {DOCKER_LIST}, {OCI_INDEX}"}
_TIMEOUT: Final = httpx.Timeout(10.0, read=60.0, write=60.0)
_CHUNK: Final = 1 << 20
_NOT_FOUND: Final = 404


class Distribution:
    """A registry at ``host:port``: the lab's own by default, which has no TLS and no passwords.

    ``auth`` is a user's name and password, for registries that take them with every request.
    """

    def __init__(
        self, host: str, *, auth: tuple[str, str] | None = None, tls: bool = False
    ) -> None:
        self.host = host
        self._http = httpx.Client(
            base_url=f"{'https' if tls else 'http'}://{host}",
            auth=httpx.BasicAuth(*auth) if auth else None,
            timeout=_TIMEOUT,
            verify=context(),
            # Proxies and .netrc are for the world, not for 127.0.0.1.
            trust_env=tls,
        )

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
                    repository,
                    tag,
                    content,
                    digest=answer.headers["Docker-Content-Digest"],
                    manifest_bytes=len(answer.content),
                )
            reference = part_of(repository, tag, content, arch)

    def media_type(self, repository: str, reference: str) -> str | None:
        """What kind of document a tag or a digest names, followed nowhere; None if nothing."""
        with self._asking():
            answer = self._http.head(f"/v2/{repository}/manifests/{reference}", headers=_ACCEPT)
            if answer.status_code == _NOT_FOUND:
                return None
            answer.raise_for_status()
        return str(answer.headers.get("Content-Type", ""))

    def manifest_list(self, repository: str, tag: str) -> ManifestList | None:
        """The manifest list or OCI index of that name; None if there is none, or one image."""
        with self._asking():
            answer = self._http.get(f"/v2/{repository}/manifests/{tag}", headers=_ACCEPT)
            if answer.status_code == _NOT_FOUND:
                return None
            answer.raise_for_status()
            content = answer.json()
        if "manifests" not in content:
            return None
        return parse_list(repository, tag, content, digest=answer.headers["Docker-Content-Digest"])

    def put_list(self, repository: str, tag: str, entries: Sequence[ListEntry]) -> ManifestList:
        """Give images that the repository holds one name more, common to all of them."""
        content = list_document(entries)
        with self._asking():
            answer = self._http.put(
                f"/v2/{repository}/manifests/{tag}",
                content=content,
                headers={"Content-Type": DOCKER_LIST},
            ).raise_for_status()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise RegistryError(
                f"The registry at {self.host} made something else of the manifest list of "
                f"{repository}:{tag}.",
                remedy=REMEDY,
            )
        return ManifestList(
            repository=repository,
            tag=tag,
            digest=digest,
            media_type=DOCKER_LIST,
            entries=tuple(entries),
        )

    def config(self, repository: str, digest: str) -> Mapping[str, Any]:
        """An image's configuration: its architecture, its command, ... Raises ``RegistryError``."""
        with self._asking():
            answer = self._http.get(f"/v2/{repository}/blobs/{digest}", follow_redirects=True)
            found: Mapping[str, Any] = answer.raise_for_status().json()
        return found

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


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
