"""What must never be stored, not even sealed: card numbers, and the codes and PINs that prove a card is yours.

Every edge asks here: API, files, webhook addresses, forms. See docs/operating/erasure.md for what people may send instead.
"""

import re
from collections.abc import Iterator
from typing import Final

from tillkeeper.base.cardnumbers import digits_in, has_card_number, plain, without_ids
from tillkeeper.base.results import Refusal

_CODE_NAMES: Final = (
    r"cvv2?|cvc2?|cvn2?|cav2|(?:card[\W_]?)?security[\W_]?(?:code|number)"
    r"|card[\W_]?verification[\W_]?(?:code|value|number)|安全码|卡背面?后?三位"
)
_PIN_NAMES: Final = r"pin[\W_]?(?:code|number|block|码)?|(?:支付|交易|取款|提款|银行卡|信用卡|卡)密码"
_SAID: Final = r"(?:\W|_|is|was|code|number|value|no|是|为|码){0,8}?"
_DIGITS: Final = r"\d(?:[ \-]?\d)"
# "cvv 123", "CVC2: 1234", "安全码是 123"; "PIN 1234", "支付密码：123456". A PIN has 4 to 12 digits (ISO 9564-1).
_SPOKEN: Final = re.compile(
    rf"(?i)(?<![a-z0-9])(?:(?:{_CODE_NAMES}){_SAID}{_DIGITS}{{2,3}}|(?:{_PIN_NAMES}){_SAID}{_DIGITS}{{3,11}})(?![a-z0-9])"
)
_CARD_FIELD: Final = re.compile(
    r"(?i)(?:primary_?)?(?:card_?(?:number|no)|account_?number)|pan|track_?(?:data|[12])(?:_?data)?|卡号"
)
_CODE_FIELD: Final = re.compile(
    r"(?i)(?:card_?)?(?:cvv2?|cvc2?|cvn2?|csc|cav2?|cid|pin(?:_?(?:code|number|block))?|security_?code"
    r"|verification_?(?:code|value))|安全码|(?:支付|交易|取款)密码"
)
# One of these stands in every text that _SPOKEN fits: most texts are spared the search.
_HINT: Final = re.compile("cv|pin|ca[rv]|secur|码|卡")
_FEWEST: Final = 3
_SHORTEST: Final = len("cvv123")

_CARD: Final = Refusal("card_number_refused", "never send card numbers")
_CODE: Final = Refusal("security_code_refused", "never send a card's security code or PIN")


def forbidden(text: str) -> Refusal | None:
    """Why a text may not be taken, if so: it holds a card number (`card_number_refused`), or a card's security code or
    a PIN beside its name (`security_code_refused`). The refusal quotes nothing.
    """
    if len(text) < _SHORTEST or digits_in(text) < _FEWEST:
        return None
    if has_card_number(text):
        return _CARD
    return _CODE if next(security_codes(text), None) is not None else None


def security_codes(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text security codes and PINs stand beside their names (start, end)."""
    text = plain(text)
    if digits_in(text) >= _FEWEST and _HINT.search(text.lower()):
        yield from (found.span() for found in _SPOKEN.finditer(without_ids(text)))


def forbidden_name(name: str) -> Refusal | None:
    """Why the value of a field with this name may not be taken, if so: "card_number", "cvv", "pin"."""
    plain_name = re.sub(r"[\s\-.]+", "_", plain(name).strip())
    if _CARD_FIELD.fullmatch(plain_name):
        return _CARD
    return _CODE if _CODE_FIELD.fullmatch(plain_name) else None
