"""What the doctor says of one thing it looked at."""

from typing import Literal

import msgspec

State = Literal["fine", "notice", "wrong", "not assessed"]


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` says what to do when it is not fine."""

    name: str
    state: State
    detail: str
    remedy: str = ""
