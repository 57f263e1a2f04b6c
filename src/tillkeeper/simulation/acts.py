"""What people intend to do. An intent is planned without knowing the platform; the street carries it out."""

import msgspec

from tillkeeper.simulation.places import Place

HONEST = ""
BASIS_POINTS = 10_000


class Scene(msgspec.Struct, frozen=True):
    """What the platform is told about where a payment comes from."""

    device: str | None
    ip: str | None
    place: Place | None


class After(msgspec.Struct, frozen=True):
    """What follows a payment that went through: 'capture', 'void' or 'refund' of a share, `delay` seconds later."""

    deed: str
    delay: float
    share_bp: int = BASIS_POINTS


class Pay(msgspec.Struct, frozen=True):
    """Pay a shop. `qr` is '' (by the till), 'open' (the code on the counter) or 'fixed' (a code for this amount).

    `manual` asks for a hold that `after` captures or voids. `repeat` sends the same request twice, under one key.
    """

    payer: int
    merchant: int
    amount: int
    currency: str
    scene: Scene
    qr: str = ""
    manual: bool = False
    after: tuple[After, ...] = ()
    repeat: bool = False


class Send(msgspec.Struct, frozen=True):
    """Send to a person: `amount` minor units, or where that is 0 a share of what the wallet holds."""

    payer: int
    payee: int
    amount: int
    currency: str
    scene: Scene
    note: str = ""
    share_bp: int = 0


class Withdraw(msgspec.Struct, frozen=True):
    """Withdraw a share of what the wallet holds; `owner` is an index of `kind` 'customer' or 'merchant'."""

    kind: str
    owner: int
    share_bp: int
    currency: str = "CNY"


class Spoil(msgspec.Struct, frozen=True):
    """A request that must be refused and change nothing; `fault` names what is wrong with it."""

    fault: str
    payer: int
    merchant: int


class LogIn(msgspec.Struct, frozen=True):
    """Log in with a program. `succeeded`: the password was right; the intent's `answers` says who can give a second proof."""

    customer: int
    scene: Scene
    agent: str
    succeeded: bool = True


class Change(msgspec.Struct, frozen=True):
    """Change a setting: `kind` as the platform names it (password, phone, payee, …)."""

    customer: int
    kind: str
    scene: Scene


Act = Pay | Send | Withdraw | Spoil | LogIn | Change


class Intent(msgspec.Struct, frozen=True):
    """An act, `at` seconds after the city awoke, with the truth about it.

    `truth` is HONEST or the kind of attack, `attack` the attack's number (0 for honest). `answers` says whether
    whoever acts can answer a challenge: a thief in somebody else's account cannot, the owner of a mule account can.
    """

    at: float
    act: Act
    truth: str = HONEST
    attack: int = 0
    answers: bool = True
