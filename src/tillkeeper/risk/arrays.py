"""Room for what is remembered: large arrays that cost nothing until they are used; and how code over them is compiled."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

FEWEST: Final = 1 << 16
F = TypeVar("F", bound=Callable[..., Any])


_COMPILED: Final[dict[str, Any]] = {
    "cache": True,
    "error_model": "numpy",
    "_nrt": False,
    "forceinline": True,
}
"""Without `nrt` references to arrays are not counted: who calls holds them, and nothing is allocated within. Counting them,
at every look at an array, and handing them over, some hundred numbers a call, was more than half of the time."""


def kernel(function: F) -> F:
    """Compile on first use, keep the machine code on disk. Nothing within may allocate: no array, no copy of a slice."""
    return cast("F", numba.njit(**_COMPILED)(function))


def zeroed(count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """An array of zeros; where the machine does not give so much, a smaller one, but not below FEWEST."""
    while True:
        try:
            return np.zeros(count, kind)
        except MemoryError:
            if count <= FEWEST:
                raise
            count //= 2


def longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    """The same at the beginning of a larger array, zeros behind it."""
    larger = np.zeros((size, *array.shape[1:]), array.dtype)
    # As bytes: NumPy copies records field by field, 35 times slower.
    larger.reshape(-1).view(np.uint8)[: array.nbytes] = array.reshape(-1).view(np.uint8)
    return larger


@kernel
def refill(old: NDArray[np.int64], new: NDArray[np.int64]) -> None:
    """Move all entries of the windows' table, -1 for none, into a larger, empty one."""
    mask = new.size - 1
    for entry in old:
        if entry != -1:
            slot = (entry >> 31) & mask
            while new[slot] != -1:
                slot = (slot + 1) & mask
            new[slot] = entry
