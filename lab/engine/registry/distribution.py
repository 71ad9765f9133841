"""The registry's HTTP interface (OCI distribution), as far as the lab needs it."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from lab.engine.docker.errors import FREE_SPACE
from lab.engine.interrupt import uninterrupted
from lab.engine.registry.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    LayerBlob,
    ListEntry,
    Manifest,
    list_document,
    parse_list,
    parse_manifest,
    part_of,
)
from lab.errors import DiskFullError, RegistryError
from lab.tls import context

REMEDY: Final = "Run it again: the registry is started when it is missing."

_ACCEPT: Final = {"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}, {DOCKER_LIST}, {OCI_INDEX}"}
_BINARY: Final = {"Content-Type": "application/octet-stream"}
_TIMEOUT: Final = httpx.Timeout(10.0, read=60.0, write=60.0)
_CHUNK: Final = 1 << 20
_PIECE: Final = 4 << 20
_NOT_FOUND: Final = 404
_CREATED: Final = 201
_ALL: Final = 1000
"""More than that a registry does not list at once."""
_FULL: Final = re.compile(r'no space left on device|"Err": ?28\b')
"""The second is how a registry that keeps files names the same, by Linux's number of it."""


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
                answer = self._document("GET", repository, reference)
                if answer is None:
                    return None
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
            answer = self._document("HEAD", repository, reference)
        return None if answer is None else str(answer.headers.get("Content-Type", ""))

    def list_entries(self, repository: str, tag: str) -> Sequence[ListEntry]:
        """What the manifest list or OCI index of that name joins; nothing if there is none."""
        with self._asking():
            answer = self._document("GET", repository, tag)
            content = {} if answer is None else answer.json()
        return parse_list(content) if "manifests" in content else ()

    def _document(self, method: str, repository: str, reference: str) -> httpx.Response | None:
        answer = self._http.request(
            method, f"/v2/{repository}/manifests/{reference}", headers=_ACCEPT
        )
        return None if answer.status_code == _NOT_FOUND else answer.raise_for_status()

    def put_list(self, repository: str, tag: str, entries: Sequence[ListEntry]) -> str:
        """Give images that the repository holds one name more, common to all; the list's digest."""
        return self._put_document(repository, tag, list_document(entries), DOCKER_LIST)

    def put_image(self, repository: str, tag: str, content: bytes) -> None:
        """Give what ``image_document`` made a name; what it speaks of is there already."""
        self._put_document(repository, tag, content, DOCKER_MANIFEST)

    def _put_document(self, repository: str, tag: str, content: bytes, media_type: str) -> str:
        with self._asking():
            answer = self._http.put(
                f"/v2/{repository}/manifests/{tag}",
                content=content,
                headers={"Content-Type": media_type},
            ).raise_for_status()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise RegistryError(
                f"The registry at {self.host} made something else of the manifest of "
                f"{repository}:{tag}.",
                remedy=REMEDY,
            )
        return digest

    def repositories(self) -> Sequence[str]:
        with self._asking():
            answer = self._http.get("/v2/_catalog", params={"n": _ALL}).raise_for_status()
            return list(answer.json().get("repositories") or ())

    def layers(self, repository: str) -> Mapping[str, LayerBlob]:
        """What a repository's images are made of, by the digest of each layer before gzip.

        Of Docker's images of one platform; nothing is said of others, and of broken ones.
        """
        with self._asking():
            answer = self._http.get(f"/v2/{repository}/tags/list")
            # Repositories of nothing but blobs have no tags.
            found = None if answer.status_code == _NOT_FOUND else answer.raise_for_status()
            tags = found.json()["tags"] if found else ()
        layers = dict[str, LayerBlob]()
        for tag in tags or ():
            with suppress(RegistryError):
                layers |= self._layers_of(repository, tag)
        return layers

    def _layers_of(self, repository: str, tag: str) -> Mapping[str, LayerBlob]:
        if self.media_type(repository, tag) != DOCKER_MANIFEST:
            return {}
        manifest = self.manifest(repository, tag)
        if manifest is None or manifest.config_media_type != DOCKER_CONFIG:
            return {}
        config = self.config(repository, manifest.config_digest)
        diff_ids = config.get("rootfs", {}).get("diff_ids") or ()
        if len(diff_ids) != len(manifest.layers):
            return {}
        pairs = zip(diff_ids, manifest.layers, strict=True)
        return {one: layer for one, layer in pairs if layer.media_type == DOCKER_LAYER}

    def config(self, repository: str, digest: str) -> Mapping[str, Any]:
        """An image's configuration: its architecture, its command, ... Raises ``RegistryError``."""
        with self._asking():
            answer = self._http.get(f"/v2/{repository}/blobs/{digest}", follow_redirects=True)
            found: Mapping[str, Any] = answer.raise_for_status().json()
        return found

    def has_blob(self, repository: str, digest: str) -> bool:
        with self._asking():
            return self._http.head(f"/v2/{repository}/blobs/{digest}").is_success

    def put_blob(self, repository: str, path: Path) -> str:
        """Upload a file unless it is there; its digest, ``sha256:...``."""
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        if not self.has_blob(repository, digest):
            self.upload(repository, _chunks(path))
        return digest

    def upload(self, repository: str, content: Iterable[bytes]) -> LayerBlob:
        """Send what is made while it is sent. What was begun and does not end is taken back.

        It goes in pieces that are not interrupted: a registry takes back only what it has whole.
        """
        digest, size = hashlib.sha256(), 0
        with self._asking():
            begun = self._http.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
            where = begun.headers["Location"]
            try:
                for piece in _pieces(content):
                    digest.update(piece)
                    size += len(piece)
                    with uninterrupted():
                        sent = self._http.patch(where, content=piece, headers=_BINARY)
                        where = sent.raise_for_status().headers["Location"]
                name = f"sha256:{digest.hexdigest()}"
                whole = httpx.URL(where).copy_merge_params({"digest": name})
                self._http.put(whole).raise_for_status()
            except BaseException:
                self._cancel(where)
                raise
        return LayerBlob(digest=name, compressed_bytes=size)

    def mount(self, repository: str, digest: str, other: str) -> None:
        """Have the bytes in ``repository``, too, that ``other`` has."""
        with self._asking():
            answer = self._http.post(
                f"/v2/{repository}/blobs/uploads/", params={"mount": digest, "from": other}
            ).raise_for_status()
        if answer.status_code != _CREATED:
            self._cancel(answer.headers["Location"])
            raise RegistryError(
                f"The registry at {self.host} no longer has {digest} in {other}.", remedy=REMEDY
            )

    def _cancel(self, upload: str) -> None:
        with uninterrupted(), suppress(httpx.HTTPError):
            self._http.delete(upload, timeout=2.0)

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as error:
            answer = error.response
            if _FULL.search(answer.text):
                raise DiskFullError(
                    f"The disk of the registry at {self.host} is full.",
                    remedy=FREE_SPACE,
                ) from error
            raise RegistryError(
                f"The registry at {self.host} answered {answer.status_code} to "
                f"{answer.request.method} {answer.request.url.path}: {answer.text[:200]}",
                remedy=REMEDY,
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(
                f"The registry at {self.host} does not answer: {error}.", remedy=REMEDY
            ) from error


def _pieces(content: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, several at a time."""
    piece = bytearray()
    for chunk in content:
        piece += chunk
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
