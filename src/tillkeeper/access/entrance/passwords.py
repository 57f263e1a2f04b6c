"""Passwords: which may be, and argon2id away from the event loop, so that a crowd at the door stops nothing else."""

import asyncio
import contextlib
import os
import re
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tillkeeper.base import limits
from tillkeeper.base.results import refuse

T = TypeVar("T")

# Words that begin every list of stolen passwords. What they are made of counts for nothing.
_WORDS: Final = re.compile(
    "passwort|password|passwd|pass|qwertz?|qwertyuiop|azerty|asdfgh?j?k?l?|zxcvbnm?|letmein|welcome|monkey|dragon|master|"
    "login|admin|administrator|root|iloveyou|woaini|football|baseball|sunshine|princess|superman|batman|shadow|trustno|"
    "secret|changeme|default|summer|winter|spring|autumn|january|october|november|december|"
    "test|demo|tillkeeper|till|console|zhanggui|wallet|payment|mima|aini|huanying"
)
_LOOKALIKES: Final = str.maketrans("0134578@$!|", "oieastbasil")
_RUNS: Final = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
# Whoever is unknown costs the same time: their password is checked against this, of which nobody knows what it hashes.
NOBODYS: Final = (
    "$argon2id$v=19$m=65536,t=2,p=1$UB9QlklJz6JqQLXp2s31tA$lta8MDOAjYYpiWoJ2Pd7UM66o+ldkSmoC4Kj5nQwIoI"
)
_NICENESS: Final = 10
_RUN: Final = 3  # neighbours in a row that count for one


def weakness(password: str, *names: str) -> str | None:
    """Why a password may not be: "short", "long" or "common"; None if it may.

    Common is what has fewer than PASSWORD_SUBSTANCE characters left without the words everybody takes, the person's own
    names, rows of neighbouring characters and repetitions.
    """
    text = _plain(password)
    if len(text) < limits.PASSWORD_LEAST:
        return "short"
    if len(text) > limits.PASSWORD_MOST:
        return "long"
    return "common" if _substance(text.casefold(), names) < limits.PASSWORD_SUBSTANCE else None


def _substance(text: str, names: tuple[str, ...]) -> int:
    """How many characters somebody would have to guess: at least in one of the two readings there must be enough."""
    own = [part for name in names for part in re.split(r"[^a-z]+", name.casefold()) if len(part) >= _RUN]
    found = len(text)
    for reading in (text, text.translate(_LOOKALIKES)):
        left = reading
        for word in own:
            left = left.replace(word, "")
        left = _WORDS.sub("", left)
        left = re.sub(r"(19|20)\d\d", "", left)
        found = min(found, len(set(re.findall("..", _without_runs(left)))) * 2, len(set(_without_runs(left))))
    return found


def _without_runs(text: str) -> str:
    """The text with every row of neighbours (abc, 321, aaa) shortened to its first character."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        end = at + 1
        while end < len(text) and _neighbours(text[at : end + 1]):
            end += 1
        kept.append(text[at] if end - at >= _RUN else text[at:end])
        at = end
    return "".join(kept)


def _neighbours(text: str) -> bool:
    return len(set(text)) == 1 or any(text in run or text[::-1] in run for run in _RUNS)


class Hasher:
    """argon2id in threads of its own: PASSWORD_HASHES at one time, PASSWORDS_WAITING may wait, the next are sent away."""

    def __init__(self) -> None:
        # 64 MiB, twice over, about 0.1 s: more than OWASP asks for. One lane each: the pool says how many cores it takes.
        self._argon = PasswordHasher(time_cost=2, memory_cost=65536, parallelism=1)
        self._pool = ThreadPoolExecutor(limits.PASSWORD_HASHES, "argon2", initializer=_stand_back)
        self._under_way = 0

    @property
    def full(self) -> bool:
        """Whether the next would be sent away."""
        return self._under_way >= limits.PASSWORD_HASHES + limits.PASSWORDS_WAITING

    async def check(self, kept: str | None, password: str) -> bool:
        """Whether a password is the one whose hash was kept; None stands for nobody's. Raises Refused: sign_in_busy."""
        return await self._apart(self._check, kept, _plain(password))

    async def hash(self, password: str) -> str:
        """What is kept of a password. Raises Refused: sign_in_busy."""
        return await self._apart(self._argon.hash, _plain(password))

    def is_old(self, kept: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._argon.check_needs_rehash(kept)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, kept: str | None, password: str) -> bool:
        try:
            self._argon.verify(kept or NOBODYS, password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _apart(self, work: Callable[..., T], *given: object) -> T:
        if self.full:
            raise refuse("sign_in_busy", "try again in a moment")
        self._under_way += 1
        # Whoever leaves while their password is hashed still holds their place: the thread works on.
        future = asyncio.get_running_loop().run_in_executor(self._pool, work, *given)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, _: object) -> None:
        self._under_way -= 1


def _stand_back() -> None:
    """Let every other thread and process of the machine go first, where the system can tell threads apart."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _plain(password: str) -> str:
    """One form for each character, however a keyboard wrote it."""
    return unicodedata.normalize("NFKC", password)
