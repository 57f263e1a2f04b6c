"""Shops: what they sell, for how much, when people go there, and how they take money."""

from random import Random

import msgspec

from tillkeeper.simulation.places import TOWNS, Place, near

PER_MILLE = 1000


class Category(msgspec.Struct, frozen=True):
    """A kind of shop. `price` is the middle price in fen, `spread` the deviation of its logarithm.

    `often` weighs how often people go, `hours` when (four-hour parts of the day from midnight), `weekend` how
    much more on Saturday and Sunday. The shares say how payments are made: by QR code, on hold and captured
    later, and how many are refunded.
    """

    name: str
    brands: tuple[str, ...]
    price: int
    spread: float
    often: int
    hours: tuple[int, int, int, int, int, int]
    weekend: float = 1.0
    online: bool = False
    qr: float = 0.0
    manual: float = 0.0
    refunded: float = 0.005
    fee_bps: int = 38
    foreign: bool = False


ALL_DAY = (1, 2, 5, 6, 6, 3)

CATEGORIES = (
    Category("breakfast", ("早点铺", "包子铺", "豆浆店"), 900, 0.4, 9, (0, 7, 9, 1, 0, 0), 1.1, qr=0.8),
    Category("convenience", ("便利店", "小超市", "烟酒铺"), 1800, 0.6, 14, (2, 3, 5, 5, 7, 5), qr=0.4),
    Category("tea_coffee", ("奶茶", "咖啡", "茶馆"), 2200, 0.35, 11, (0, 2, 7, 8, 5, 1), 1.3, qr=0.3),
    Category(
        "restaurant", ("面馆", "小馆", "饺子馆", "食堂"), 4600, 0.5, 13, (0, 0, 9, 3, 9, 2), 1.2, qr=0.4
    ),
    Category("hotpot", ("火锅", "烤肉", "海鲜酒楼"), 18800, 0.4, 3, (1, 0, 3, 2, 9, 4), 1.8),
    Category("transit", ("公交", "地铁"), 400, 0.3, 14, (1, 6, 8, 5, 8, 2), 0.6),
    Category("taxi", ("出行", "快车"), 2800, 0.55, 6, (3, 4, 6, 4, 7, 5), manual=0.7),
    Category("fuel", ("加油站", "充电站"), 26000, 0.35, 2, ALL_DAY, manual=0.5),
    Category("supermarket", ("超市", "生鲜", "仓储店"), 8600, 0.6, 8, (0, 1, 5, 5, 8, 3), 1.5),
    Category("market", ("菜市场", "水果摊", "花市"), 2600, 0.5, 7, (0, 8, 7, 3, 6, 0), 1.3, qr=0.9),
    Category("pharmacy", ("药房", "诊所"), 4800, 0.7, 3, (1, 2, 6, 5, 5, 2), 0.9),
    Category("clothes", ("服饰", "鞋店", "童装"), 24000, 0.6, 3, (0, 0, 4, 6, 7, 2), 1.9, refunded=0.06),
    Category(
        "electronics", ("数码", "电脑城", "手机店"), 129000, 0.8, 1, (0, 0, 4, 6, 5, 1), 1.5, refunded=0.04
    ),
    Category(
        "jewellery", ("金店", "珠宝"), 260000, 0.7, 1, (0, 0, 3, 6, 5, 1), 1.6, refunded=0.02, fee_bps=60
    ),
    Category(
        "online_shop",
        ("网店", "旗舰店", "严选"),
        9900,
        0.8,
        9,
        (3, 2, 5, 6, 8, 8),
        1.1,
        True,
        manual=0.3,
        refunded=0.06,
        fee_bps=60,
        foreign=True,
    ),
    Category(
        "games",
        ("游戏", "点卡", "影音会员"),
        1800,
        0.8,
        6,
        (3, 1, 3, 4, 7, 8),
        1.5,
        True,
        fee_bps=80,
        foreign=True,
    ),
    Category("utilities", ("水电缴费", "话费", "宽带"), 9800, 0.5, 3, ALL_DAY, 0.8, True, fee_bps=10),
    Category("cinema", ("影城", "剧院", "密室"), 7800, 0.4, 2, (1, 0, 2, 5, 8, 4), 2.2),
    Category(
        "hotel",
        ("酒店", "民宿"),
        42000,
        0.45,
        1,
        (1, 1, 3, 6, 7, 5),
        1.6,
        manual=0.8,
        fee_bps=60,
        foreign=True,
    ),
    Category("hairdresser", ("理发", "美甲"), 6800, 0.5, 2, (0, 0, 5, 6, 6, 1), 1.5, qr=0.5),
)
BY_NAME = {category.name: category for category in CATEGORIES}
BRAND_WORDS = (
    "老街",
    "春和",
    "金桥",
    "云上",
    "四季",
    "福满",
    "海棠",
    "小院",
    "东方",
    "一品",
    "大众",
    "青柠",
    "白鹭",
    "南巷",
    "知味",
    "同乐",
    "星河",
    "半夏",
    "清泉",
    "百味",
    "宝丰",
    "和顺",
    "新月",
    "江南",
    "安康",
)


class Merchant(msgspec.Struct, frozen=True):
    """A shop. `level` is its price level in per mille of the category's; an online shop has no place or town."""

    index: int
    reference: str
    name: str
    category: str
    level: int
    currencies: tuple[str, ...]
    town: int | None
    place: Place | None


def open_shops(seed: int, count: int) -> tuple[Merchant, ...]:
    """The seeded list of shops: every town has every kind that has a door, in proportion to its people."""
    return tuple(_open_shop(seed, index) for index in range(count))


def _open_shop(seed: int, index: int) -> Merchant:
    rng = Random(f"{seed}/shop/{index}")
    category = CATEGORIES[index % len(CATEGORIES)]
    town = None if category.online else _town_for(index // len(CATEGORIES))
    place, title = None, ""
    if town is not None:
        title, centre = rng.choice(TOWNS[town].districts)
        place = near(rng, centre, 1.2)
    return Merchant(
        index=index,
        reference=f"city{seed}-shop-{index:04d}",
        name=f"{rng.choice(BRAND_WORDS)}{rng.choice(category.brands)}" + (f"·{title}店" if title else ""),
        category=category.name,
        level=rng.choice((700, 850, 1000, 1000, 1150, 1400)),
        currencies=("CNY", "EUR", "JPY", "USD") if category.foreign else ("CNY",),
        town=town,
        place=place,
    )


def _town_for(turn: int) -> int:
    """Spread shops of one kind over the towns: the first eight turns give each town one, then by share."""
    if turn < len(TOWNS):
        return turn
    step = (turn * 37) % sum(town.share for town in TOWNS)
    for index, town in enumerate(TOWNS):
        step -= town.share
        if step < 0:
            return index
    raise AssertionError("the shares of the towns cover every step")
