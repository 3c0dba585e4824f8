"""Give a process the least of everything that the others do not use."""

import ctypes
import os
import platform
from contextlib import suppress
from typing import Final

_NICE: Final = 19
#: ``ioprio_set`` has no function in the C library.
_IOPRIO_SET: Final = {
    "x86_64": 251,
    "aarch64": 30,
    "riscv64": 30,
    "i686": 289,
    "armv7l": 314,
    "ppc64le": 273,
    "s390x": 282,
}
_WHO_PROCESS: Final = 1
_CLASS_IDLE: Final = 3 << 13


def stand_back() -> None:
    """Take the processor, and the disk where the kernel knows how, when it is idle."""
    with suppress(OSError):
        os.nice(_NICE)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None and platform.system() == "Linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE)
