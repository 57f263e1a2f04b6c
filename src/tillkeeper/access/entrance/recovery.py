"""Recovery codes: ten for the drawer, each good once, for the day when the phone is gone."""

import base64
import re
import secrets
from typing import Final

from tillkeeper.access import tokens
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")

_BYTES: Final = 10  # 80 bits: no guessing makes a slow hash worthwhile
_GROUP: Final = 4


async def make(tx: Tx, person: str, clock: Clock) -> list[str]:
    """New codes in place of the old ones, as texts that are shown this once."""
    texts = [
        base64.b32encode(secrets.token_bytes(_BYTES)).decode().lower() for _ in range(limits.RECOVERY_CODES)
    ]
    await tx.run(_sql.remove_recovery_codes, {"person": person})
    hashes = [tokens.digest(text) for text in texts]
    await tx.run(_sql.add_recovery_codes, {"person": person, "hashes": hashes, "at": clock.now()})
    return ["-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP)) for text in texts]


async def use(tx: Tx, person: str, code: str, clock: Clock) -> bool:
    """Use a code up; how it was written down does not matter."""
    bare = re.sub(r"[^a-z2-7]", "", code.lower())
    params = {"person": person, "code_hash": tokens.digest(bare), "at": clock.now()}
    return await tx.value(_sql.use_recovery_code, params) is not None
