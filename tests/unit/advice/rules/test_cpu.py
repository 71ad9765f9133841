"""Builds for a GPU or a screen: told where a smaller one has the same modules."""

import pytest

from lab.advice.recording import Stage
from lab.advice.rules import cpu
from lab.advice.rules.model import AdviceKind
from lab.images.layers.packages import Package
from lab.spec import Platform
from tests.unit.advice.rules.made import MB, SITE, Made, python

CC = f"{SITE}/tensorflow/libtensorflow_cc.so.2"


def tensorflow(
    name: str = "tensorflow 2.21.0", command: str = "RUN pip install tensorflow"
) -> Made:
    made = Made(commands=(command,))
    return made.file(CC, 1000 * MB, package=python(name), read=Stage.READY)


def test_tensorflow_is_answered_by_tensorflow_cpu_and_what_that_saves_of_either_start() -> None:
    (one,) = tensorflow(command="RUN pip install tensorflow==2.21.0 flask").asked(
        cpu.smaller_builds
    )
    assert one.kind is AdviceKind.CPU_BUILD
    assert one.saves.unpacked_bytes == 320 * MB
    assert one.saves.compressed_bytes == 80 * MB
    assert one.saves.pull_s == pytest.approx(0.8 + 6.4)
    assert one.saves.ondemand_s == pytest.approx(320 * MB * 4e-8)
    assert one.patch == (
        "- RUN pip install tensorflow==2.21.0 flask\n+ RUN pip install tensorflow-cpu==2.21.0 flask"
    )


def test_tensorflow_cpu_is_left_alone_and_so_is_tensorflow_on_arm64() -> None:
    assert tensorflow("tensorflow_cpu 2.21.0").asked(cpu.smaller_builds) == []
    made = tensorflow()
    made.platform = Platform.ARM64
    assert made.asked(cpu.smaller_builds) == []


def test_requirements_that_the_step_reads_are_patched_in_the_file() -> None:
    made = tensorflow(command="RUN pip install -r requirements.txt")
    made.texts["/app/requirements.txt"] = "flask\ntensorflow==2.21.0  # for the model\n"
    (one,) = made.asked(cpu.smaller_builds)
    assert one.patch == ("# /app/requirements.txt\n- tensorflow==2.21.0\n+ tensorflow-cpu==2.21.0")


def test_requirements_with_hashes_are_left_to_words() -> None:
    made = tensorflow(command="RUN pip install -r requirements.txt")
    made.texts["/app/requirements.txt"] = "tensorflow==2.21.0 \\\n    --hash=sha256:1\n"
    (one,) = made.asked(cpu.smaller_builds)
    assert one.patch is None
    assert "tensorflow-cpu" in one.todo


NVIDIA = python("nvidia_cublas_cu12 12.1")


def torch(version: str, *, nvidia: bool, command: str = "RUN pip install torch") -> Made:
    made = Made(commands=(command,))
    package = python(f"torch {version}")
    made.file(f"{SITE}/torch/lib/libtorch_cpu.so", 400 * MB, package=package, read=Stage.READY)
    if nvidia:
        made.file(f"{SITE}/torch/lib/libtorch_cuda.so", 900 * MB, package=package)
        blas = f"{SITE}/nvidia/cublas/lib/libcublas.so.12"
        made.file(blas, 600 * MB, package=NVIDIA, read=Stage.READY)
    return made


def test_a_cuda_build_of_torch_is_answered_by_the_one_for_cpus_with_all_of_nvidias() -> None:
    (one,) = torch("2.4.0", nvidia=True, command="RUN pip install torch==2.4.0").asked(
        cpu.torch_cpu
    )
    assert one.saves.unpacked_bytes == 1500 * MB
    assert one.saves.ondemand_s == pytest.approx(600 * MB * 4e-8)
    assert one.patch is not None
    assert "torch==2.4.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu" in one.patch
    assert one.packages == ("Python: torch 2.4.0", "Python: nvidia_cublas_cu12 12.1")


def test_torch_for_cpus_and_torch_that_nothing_used_are_left_alone() -> None:
    assert torch("2.4.0+cpu", nvidia=False).asked(cpu.torch_cpu) == []
    made = torch("2.4.0", nvidia=True)
    made.reads.clear()
    assert made.asked(cpu.torch_cpu) == []


def test_what_torchs_advice_takes_is_not_promised_again() -> None:
    advice = torch("2.4.0", nvidia=True).advice()
    assert sum(one.saves.unpacked_bytes for one in advice) == 1500 * MB


def opencv(name: str) -> Made:
    package = python(f"{name} 4.10")
    made = Made(commands=(f"RUN pip install {name}",))
    made.file(f"{SITE}/cv2/cv2.abi3.so", 60 * MB, package=package, read=Stage.READY)
    libraries = f"{SITE}/{name.replace('-', '_')}.libs"
    made.file(f"{libraries}/libQt5Gui-1.so.5", 8 * MB, package=package)
    return made


def test_opencv_with_windows_is_answered_by_the_headless_one() -> None:
    (one,) = opencv("opencv-python").asked(cpu.smaller_builds)
    assert one.kind is AdviceKind.HEADLESS
    assert one.patch is not None
    assert "+ RUN pip install opencv-python-headless" in one.patch
    assert one.saves.unpacked_bytes == 8 * MB


def test_headless_opencv_is_left_alone() -> None:
    assert opencv("opencv-python-headless").asked(cpu.smaller_builds) == []


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/usr/local/cuda/lib64/libcublasLt.so.12", ("", "/usr/local/cuda")),
        (f"{SITE}/nvidia/nccl/lib/libnccl.so.2", python("nvidia_nccl_cu12 2.2")),
    ],
)
def test_cuda_that_came_otherwise_and_was_not_read_is_told(path: str, package: Package) -> None:
    (one,) = Made().file(path, 300 * MB, package=package).asked(cpu.cuda_libraries)
    assert one.kind is AdviceKind.CUDA
    assert "GPU" in one.risk


def test_libraries_that_are_only_called_alike_are_no_cuda() -> None:
    made = Made().file("/usr/lib/x/libcurl.so.4", 9 * MB, package=("Debian", "libcurl4"))
    made.file("/usr/lib/x/libcups.so.2", 9 * MB, package=("Debian", "libcups2"))
    made.file("/usr/lib/x/libcublas.so", 9 * MB, package=("", "/x"), read=Stage.READY)
    assert made.asked(cpu.cuda_libraries) == []
