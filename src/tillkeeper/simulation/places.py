"""Where the city lies: real towns with their districts, and the far places thieves call from."""

from math import asin, cos, radians, sin, sqrt
from random import Random

import msgspec

EARTH_RADIUS_KM = 6371.0
KM_PER_DEGREE = 111.2
GPS_KM = 0.03  # how far off a phone's own idea of its place is


class Place(msgspec.Struct, frozen=True):
    """A point in WGS 84 degrees, five decimals (about one metre)."""

    latitude: float
    longitude: float


class Town(msgspec.Struct, frozen=True):
    """A town and the centres of its districts; `share` of 100 people live here."""

    name: str
    share: int
    districts: tuple[tuple[str, Place], ...]


def _town(name: str, share: int, *districts: tuple[str, float, float]) -> Town:
    return Town(name, share, tuple((title, Place(lat, lon)) for title, lat, lon in districts))


TOWNS = (
    _town(
        "上海",
        38,
        ("人民广场", 31.2304, 121.4737),
        ("徐家汇", 31.1955, 121.4365),
        ("陆家嘴", 31.2397, 121.4998),
        ("静安寺", 31.2235, 121.4456),
        ("五角场", 31.2987, 121.5142),
        ("张江", 31.2032, 121.5906),
    ),
    _town(
        "北京",
        16,
        ("王府井", 39.9146, 116.4101),
        ("中关村", 39.9836, 116.3165),
        ("国贸", 39.9087, 116.4605),
        ("望京", 39.9960, 116.4700),
        ("西单", 39.9087, 116.3740),
    ),
    _town("杭州", 13, ("西湖", 30.2460, 120.1480), ("武林", 30.2740, 120.1620), ("滨江", 30.2084, 120.2120)),
    _town("深圳", 11, ("福田", 22.5410, 114.0550), ("南山", 22.5330, 113.9300), ("罗湖", 22.5480, 114.1190)),
    _town("广州", 8, ("天河", 23.1290, 113.3270), ("越秀", 23.1290, 113.2660), ("海珠", 23.0830, 113.3170)),
    _town("成都", 6, ("春熙路", 30.6570, 104.0800), ("武侯", 30.6420, 104.0430)),
    _town("武汉", 4, ("江汉路", 30.5800, 114.2900), ("光谷", 30.5070, 114.4000)),
    _town("西安", 4, ("钟楼", 34.2610, 108.9420), ("高新", 34.2300, 108.8850)),
)

# Each is more than 500 km from every town above.
FAR_PLACES = (
    Place(43.8256, 87.6168),  # Urumqi
    Place(45.8038, 126.5350),  # Harbin
    Place(29.6520, 91.1721),  # Lhasa
    Place(13.7563, 100.5018),  # Bangkok
    Place(1.3521, 103.8198),  # Singapore
    Place(25.2048, 55.2708),  # Dubai
)


def near(rng: Random, place: Place, km: float) -> Place:
    """A point around `place`, normally distributed with `km` as its deviation in each direction."""
    latitude = place.latitude + rng.gauss(0, km) / KM_PER_DEGREE
    longitude = place.longitude + rng.gauss(0, km) / (KM_PER_DEGREE * cos(radians(place.latitude)))
    return Place(round(latitude, 5), round(longitude, 5))


def distance_km(a: Place, b: Place) -> float:
    """The great-circle distance in kilometres."""
    lat_a, lat_b = radians(a.latitude), radians(b.latitude)
    half_lat, half_lon = (lat_b - lat_a) / 2, radians(b.longitude - a.longitude) / 2
    chord = sin(half_lat) ** 2 + cos(lat_a) * cos(lat_b) * sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(chord))
