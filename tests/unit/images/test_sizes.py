from collections.abc import Iterator
from dataclasses import asdict

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.engine.registry.manifests import LayerBlob, Manifest
from lab.errors import RegistryError
from lab.images.sizes import belongs_to, image_record, layer_steps, one_line
from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker
from tests.unit.images.fakes import has_image

REF = "inference-lab/onnx:amd64"
ID = "sha256:" + "1" * 64
HISTORY = [  # newest first, as the engine tells it
    {"Size": 30, "CreatedBy": "COPY /opt/program /opt/program # buildkit"},
    {"Size": 0, "CreatedBy": 'ENTRYPOINT ["/serve"]'},
    {"Size": 0, "CreatedBy": "WORKDIR /opt"},
    {"Size": 200, "CreatedBy": "RUN /bin/sh -c pip install  \t numpy # buildkit"},
    {"Size": 0, "CreatedBy": "ENV A=b"},
    {"Size": 1000, "CreatedBy": "", "Comment": "Imported from -"},
]


class _Shelf(Registry):
    """A registry that holds one manifest."""

    def __init__(self, manifest: Manifest | None) -> None:
        self._held = manifest

    def manifest(self, repository: str, tag: str, *, arch: str | None = None) -> Manifest:
        if self._held is None:
            raise RegistryError(f"{repository}:{tag} is not in the local registry.")
        return self._held


def shelf(*sizes: int, config: str = ID) -> _Shelf:
    layers = tuple(LayerBlob(digest=f"d{i}", compressed_bytes=n) for i, n in enumerate(sizes))
    return _Shelf(
        Manifest(
            repository="inference-lab/onnx",
            tag="amd64",
            digest="sha256:m",
            media_type="",
            config_digest=config,
            layers=layers,
        )
    )


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    has_image(docker, REF, image_id=ID, layers=4, history=HISTORY)
    made = DockerEngine(docker.address)
    yield made
    made.close()


def test_each_layer_is_told_with_its_command_and_both_its_sizes(engine: DockerEngine) -> None:
    size = image_record(engine, shelf(400, 90, 1, 9), "onnx", Platform.AMD64)
    assert [(one.compressed_bytes, one.unpacked_bytes, one.created_by) for one in size.layers] == [
        (400, 1000, "Imported from -"),
        (90, 200, "RUN pip install numpy"),
        (1, 0, "WORKDIR /opt"),
        (9, 30, "COPY /opt/program /opt/program"),
    ]
    assert (size.compressed_bytes, size.unpacked_bytes) == (500, 1230)
    assert size.digest == "sha256:m"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("RUN |1 VERSION=2 /bin/sh -c make  \n install # buildkit", "RUN make install"),
        ('/bin/sh -c #(nop)  CMD ["serve"]', 'CMD ["serve"]'),
        ("/bin/sh -c apt-get update", "/bin/sh -c apt-get update"),
    ],
)
def test_a_step_is_shown_as_it_stood_in_the_dockerfile(command: str, shown: str) -> None:
    assert one_line(command) == shown


def test_a_property_that_the_classic_builder_set_made_no_layer() -> None:
    steps = [
        {"Size": 0, "CreatedBy": "/bin/sh -c #(nop) COPY file:1 in /empty"},
        {"Size": 0, "CreatedBy": "/bin/sh -c #(nop)  ENV A=b"},
        {"Size": 9, "CreatedBy": "/bin/sh -c #(nop) ADD file:2 in /"},
    ]
    assert layer_steps(steps, 2) == [steps[2], steps[0]]


def test_without_a_registry_compressed_sizes_are_unknown(engine: DockerEngine) -> None:
    size = image_record(engine, None, "onnx", Platform.AMD64)
    assert size.compressed_bytes is None
    assert {layer.compressed_bytes for layer in size.layers} == {None}


def test_another_build_in_the_registry_says_nothing_of_this_one(engine: DockerEngine) -> None:
    size = image_record(engine, shelf(400, 90, 1, 9, config="other"), "onnx", Platform.AMD64)
    assert size.compressed_bytes is None


def test_an_image_that_was_never_pushed_has_no_compressed_size(engine: DockerEngine) -> None:
    assert image_record(engine, _Shelf(None), "onnx", Platform.AMD64).compressed_bytes is None


def test_a_total_is_told_even_when_layers_and_commands_cannot_be_matched(
    engine: DockerEngine,
) -> None:
    size = image_record(engine, shelf(400, 100), "onnx", Platform.AMD64)
    assert size.compressed_bytes == 500
    assert {layer.compressed_bytes for layer in size.layers} == {None}


def test_a_record_has_exactly_the_fields_of_the_run_folder(engine: DockerEngine) -> None:
    size = image_record(engine, None, "onnx", Platform.AMD64)
    assert set(asdict(size)) == {
        *("variant", "platform", "ref", "digest"),
        *("compressed_bytes", "unpacked_bytes", "layers"),
    }


def test_empty_commands_that_change_files_make_layers_before_those_that_set_properties() -> None:
    steps = layer_steps(HISTORY, 4)
    assert [step["Size"] for step in steps] == [1000, 200, 0, 30]
    assert [step["Size"] for step in layer_steps(HISTORY, 3)] == [1000, 200, 30]


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("opt/venv/lib/python3.13/site-packages/tensorflow/a/b.so", "python: tensorflow"),
        ("opt/venv/lib/python3.13/site-packages/numpy.libs/libopenblas.so", "python: numpy"),
        ("opt/venv/lib/python3.13/site-packages/numpy-2.5.5.dist-info/METADATA", "python: numpy"),
        ("opt/venv/lib/python3.13/site-packages/six.py", "python: six"),
        ("usr/lib/python3.13/pillow.libs/libjpeg.so.62", "python: pillow"),
        ("usr/lib/python3.13/json/decoder.pyc", "Python's standard library"),
        ("usr/bin/python3.13", "Python's interpreter"),
        ("root/.cache/pip/http-v2/1/2/3", "pip's cache"),
        ("var/lib/apt/lists/x_Packages", "apt's lists and archives"),
        ("usr/lib/gcc/x86_64-linux-gnu/14/cc1", "the C compiler and its headers"),
        ("usr/lib/x86_64-linux-gnu/libcrypto.so.3", "libcrypto"),
        ("opt/program/app/serve.py", "the app"),
        ("etc/ssl/certs/a/b/c.pem", "/etc/ssl/certs"),
        ("serve", "/"),
    ],
)
def test_every_file_belongs_to_something_a_person_can_remove(path: str, owner: str) -> None:
    assert belongs_to(path) == owner
