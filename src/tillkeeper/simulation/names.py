"""Names of people: small lists of our own, joined at random. Any likeness to a living person is chance."""

from random import Random

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范"
GIVEN_FIRST = "晓子文志建丽思雨佳俊明海国秀玉春家天欣梦嘉一宇浩若诗美永少世立泽景婉书云"
GIVEN_LAST = "明华芳伟强军敏静杰涛超兰霞平刚娜婷磊洋勇艳琴玲斌辉鹏飞雪红宁悦妍轩涵博睿颖"
WESTERN_FIRST = (
    "Emma",
    "Liam",
    "Olivia",
    "Noah",
    "Sofia",
    "Lucas",
    "Hannah",
    "Oscar",
    "Clara",
    "Hugo",
    "Ingrid",
    "Mateo",
    "Nina",
    "Pavel",
    "Ruth",
    "Simon",
    "Tara",
    "Victor",
    "Wendy",
    "Yara",
    "Anton",
    "Bella",
    "Colin",
    "Daria",
    "Felix",
    "Greta",
)
WESTERN_LAST = (
    "Adler",
    "Bennett",
    "Carver",
    "Dalton",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Hughes",
    "Ivanova",
    "Jensen",
    "Keller",
    "Lambert",
    "Moreau",
    "Novak",
    "Okafor",
    "Petrov",
    "Quinn",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Usman",
    "Varga",
    "Walsh",
)
WESTERN_SHARE = 0.12


def surname(rng: Random) -> str:
    """A family name; about one family in eight came from abroad."""
    return rng.choice(WESTERN_LAST) if rng.random() < WESTERN_SHARE else rng.choice(SURNAMES)


def full_name(rng: Random, family: str) -> str:
    """A full name in the order its language writes it."""
    if family.isascii():
        return f"{rng.choice(WESTERN_FIRST)} {family}"
    middle = rng.choice(GIVEN_FIRST) if rng.random() < 0.75 else ""
    return f"{family}{middle}{rng.choice(GIVEN_LAST)}"
