"""What a registry's documents say: manifests of one platform, and the lists that join them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.errors import RegistryError
from lab.spec import Platform

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_OS: Final = "linux"
_NO_PLATFORM: Final = "unknown"
"""Of attestations, which lists hold beside images."""


@dataclass(frozen=True, kw_only=True)
class LayerBlob:
    """A layer as it is transferred."""

    digest: str
    compressed_bytes: int
    media_type: str = DOCKER_LAYER


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
    config_media_type: str = DOCKER_CONFIG
    manifest_bytes: int = 0
    """Of the manifest itself: a list names its parts by digest and size."""

    def is_of(self, image_id: str) -> bool:
        """Whether it is the image that an engine knows by that id.

        The id is the digest of the configuration, or of the manifest in newer engines.
        """
        return image_id in {self.config_digest, self.digest}

    @property
    def compressed_bytes(self) -> int:
        """What a machine without a layer downloads: a layer that occurs twice comes once."""
        return sum({layer.digest: layer.compressed_bytes for layer in self.layers}.values())


@dataclass(frozen=True, kw_only=True)
class ListEntry:
    """One platform's part of a manifest list."""

    platform: Platform
    digest: str
    manifest_bytes: int
    media_type: str = DOCKER_MANIFEST
    variant: str | None = None
    """Of the architecture, where the image states one: ``v8``."""


def parse_manifest(
    repository: str,
    tag: str,
    content: Mapping[str, Any],
    *,
    digest: str,
    manifest_bytes: int = 0,
) -> Manifest:
    """A manifest from its JSON."""
    return Manifest(
        repository=repository,
        tag=tag,
        digest=digest,
        media_type=content.get("mediaType", OCI_MANIFEST),
        config_digest=content["config"]["digest"],
        config_media_type=content["config"].get("mediaType", ""),
        layers=tuple(
            LayerBlob(
                digest=layer["digest"],
                compressed_bytes=layer["size"],
                media_type=layer.get("mediaType", ""),
            )
            for layer in content["layers"]
        ),
        manifest_bytes=manifest_bytes,
    )


def parse_list(content: Mapping[str, Any]) -> Sequence[ListEntry]:
    """What a manifest list or OCI index joins, without attestations and unknown platforms."""
    return [entry for one in content["manifests"] if (entry := _entry(one)) is not None]


def list_document(entries: Sequence[ListEntry]) -> bytes:
    """A manifest list as a registry takes it. The same entries in any order give the same bytes.

    https://distribution.github.io/distribution/spec/manifest-v2-2/#manifest-list
    """
    content = {
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST,
        "manifests": [
            {
                "mediaType": entry.media_type,
                "size": entry.manifest_bytes,
                "digest": entry.digest,
                "platform": {
                    "architecture": entry.platform.arch,
                    "os": _OS,
                    **({} if entry.variant is None else {"variant": entry.variant}),
                },
            }
            for entry in sorted(entries, key=lambda entry: entry.platform)
        ],
    }
    return json.dumps(content, indent=3).encode()


def image_document(config_digest: str, config_bytes: int, layers: Sequence[LayerBlob]) -> bytes:
    """A Docker schema 2 manifest of one platform's image, as a registry takes it.

    https://distribution.github.io/distribution/spec/manifest-v2-2/#image-manifest
    """
    content = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "size": config_bytes, "digest": config_digest},
        "layers": [
            {
                "mediaType": layer.media_type,
                "size": layer.compressed_bytes,
                "digest": layer.digest,
            }
            for layer in layers
        ],
    }
    return json.dumps(content, indent=3).encode()


def _entry(content: Mapping[str, Any]) -> ListEntry | None:
    of = content.get("platform") or {}
    try:
        platform = Platform(f"{of.get('os')}/{of.get('architecture')}")
    except ValueError:
        return None
    return ListEntry(
        platform=platform,
        digest=content["digest"],
        manifest_bytes=content["size"],
        media_type=content["mediaType"],
        variant=of.get("variant"),
    )


def part_of(repository: str, tag: str, content: Mapping[str, Any], arch: str | None) -> str:
    """The digest of one platform's manifest. Raises ``RegistryError`` if the list lacks it."""
    of = {
        entry["platform"]["architecture"]: entry["digest"]
        for entry in content.get("manifests") or ()
        if entry.get("platform", {}).get("architecture", _NO_PLATFORM) != _NO_PLATFORM
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
