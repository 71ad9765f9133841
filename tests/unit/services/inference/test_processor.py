"""Processor families, from what kernels write of processors."""

from pathlib import Path

import pytest

from app.processor import family

_XEON = "fpu sse4_2 avx f16c avx2 fma avx512f avx512dq avx512bw"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse sse2 sse4_2 avx", "x86-64"),
        ("fpu sse4_2 avx f16c avx2 fma", "x86-64-avx2"),
        (_XEON, "x86-64-avx512"),
        (f"{_XEON} avx512_vnni", "x86-64-vnni"),
        ("fpu avx2 fma avx_vnni", "x86-64-vnni"),
    ],
)
def test_an_intel_or_amd_processor_is_of_the_family_of_its_widest_instructions(
    tmp_path: Path, flags: str, expected: str
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    named = "processor\t: 0\nmodel name\t: avx512_vnni, it says\nvmx flags\t: ept\n"
    cpuinfo.write_text(f"{named}flags\t\t: {flags}\n" * 2)
    assert family("x86_64", str(cpuinfo)) == expected


def test_an_arm_processor_is_one_whatever_its_features(tmp_path: Path) -> None:
    assert family("aarch64", str(tmp_path / "none")) == "arm64"


def test_a_machine_without_cpuinfo_is_of_the_plainest_family(tmp_path: Path) -> None:
    assert family("x86_64", str(tmp_path / "none")) == "x86-64"


def test_a_machine_that_nobody_knows_keeps_its_own_name() -> None:
    assert family("riscv64") == "riscv64"
