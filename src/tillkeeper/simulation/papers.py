"""Phone numbers and id numbers of the city's people: right in form, and nobody's.

Chinese mobiles begin with 154, a block that is given to no carrier; foreigners have British numbers that the regulator keeps for
films (07700 900000 to 900999). Residents' numbers have a right check digit and the county 0199, which no province has;
passports are Utopia's (UTO), the country of ICAO's specimens.
"""

from datetime import date, timedelta
from random import Random
from typing import Final

from tillkeeper.base.personal import resident_check
from tillkeeper.simulation.places import TOWNS

NO_ID_SHARE: Final = 0.1
_PROVINCES: Final = {
    "上海": 31, "北京": 11, "杭州": 33, "深圳": 44, "广州": 44, "成都": 51, "武汉": 42, "西安": 61,
}  # fmt: skip
_ELDEST: Final = date(1948, 1, 1)
_YOUNGEST: Final = date(2007, 12, 31)
_SPREAD: Final = 39_916_801  # has no factor in common with 10^8: no two people share a number


def phone(seed: int, index: int, name: str) -> str:
    """The phone of the person with this index."""
    number = (seed * 7 + index) * _SPREAD % 10**8
    return f"+447700900{number % 1000:03d}" if name.isascii() else f"154{number:08d}"


def id_number(rng: Random, name: str, town: int) -> str | None:
    """The number of a person's identity document; some never gave one."""
    if rng.random() < NO_ID_SHARE:
        return None
    if name.isascii():
        return f"UTO{rng.randrange(10**7):07d}"
    born = _ELDEST + timedelta(days=rng.randrange((_YOUNGEST - _ELDEST).days))
    first = f"{_PROVINCES[TOWNS[town].name]}0199{born:%Y%m%d}{rng.randrange(1000):03d}"
    return first + resident_check(first)
