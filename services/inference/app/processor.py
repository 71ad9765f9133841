"""Which family of processors this is: what decides which kernels ONNX Runtime takes."""

import os

_VNNI = {"avx512_vnni", "avx_vnni"}


def family(machine: str | None = None, cpuinfo: str = "/proc/cpuinfo") -> str:
    """``arm64``, ``x86-64``, ``x86-64-avx2``, ``x86-64-avx512`` or ``x86-64-vnni``; what the kernel
    calls the machine, for any other.
    """
    machine = machine or os.uname().machine
    if machine == "aarch64":
        return "arm64"
    if machine != "x86_64":
        return machine
    flags = _flags(cpuinfo)
    if flags & _VNNI:
        return "x86-64-vnni"
    if "avx512f" in flags:
        return "x86-64-avx512"
    return "x86-64-avx2" if "avx2" in flags else "x86-64"


def _flags(cpuinfo: str) -> set[str]:
    """The first processor's: a machine's are all alike. None where there is no such file."""
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:  # noqa: PTH123  # pathlib costs milliseconds
            for line in file:
                if line.startswith("flags"):
                    return set(line.split())
    except OSError:
        pass
    return set()
