"""A shop whose risk has something to show: payments from many places, small and large, and what they turned out to be."""

import random
import struct
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import structs

from tests.support.risk_models import booster, payments
from tests.support.shop import ASKED, FINE, HELD, REFUSED, Shop
from tillkeeper.base.ids import first_id_at, from_typeid, new_id, to_typeid
from tillkeeper.payments.commands import Context, Pay
from tillkeeper.risk import FEATURES, backtest
from tillkeeper.risk.backtest import (
    Change,
    Day,
    Level,
    Outcome,
    Part,
    Question,
    Ranking,
    Report,
    RuleLine,
    Side,
    Workload,
)
from tillkeeper.risk.models import Artifact, Card, Figures, Forest, Line, Span, pack, registry

PLACES: Final = (
    (31.23, 121.47, 12),
    (39.91, 116.41, 6),
    (22.54, 114.06, 4),
    (30.66, 104.08, 3),
    (1.35, 103.82, 1),
    (25.2, 55.27, 1),
)
_AMOUNTS: Final = (FINE, FINE, FINE, 8_800, ASKED + 900, HELD + 2_500, REFUSED)


async def furnish_risk(shop: Shop, payer: UUID, merchant: UUID, count: int, seed: int = 7) -> list[UUID]:
    """`count` payments from many places, of which every fifth or so was spoken of; their ids."""
    rng = random.Random(seed)
    places = [place for *place, weight in PLACES for _ in range(weight)]
    made = []
    for number in range(count):
        latitude, longitude = rng.choice(places)
        context = Context(
            device=f"phone-{number % 9}",
            ip=f"203.0.113.{number % 20}",
            latitude=latitude,
            longitude=longitude,
        )
        amount = rng.choice(_AMOUNTS)
        answer = await shop.till.submit(Pay(payer, merchant, amount, "CNY", context=context))
        made.append(from_typeid("pay", msgspec.json.decode(answer.body)["id"]))
    spoken = rng.sample(made, max(count // 5, 4))
    await speak(shop, [(each, number % 3 != 2) for number, each in enumerate(spoken)])
    return made


async def speak(shop: Shop, said: list[tuple[UUID, bool]]) -> None:
    """Say of payments whether they were fraud."""
    now = shop.clock.now()
    async with shop.store.tx("test labels") as tx:
        for payment, fraud in said:
            await tx.run(
                b"INSERT INTO risk.labels (payment, fraud, source, known_at, written_at)"
                b" VALUES (%(payment)s, %(fraud)s, 'report', %(known)s, %(at)s)",
                {"payment": payment, "fraud": fraud, "known": now - timedelta(minutes=1), "at": now},
            )


async def furnish_logins(shop: Shop, customers: list[UUID], count: int, seed: int = 7) -> None:
    """`count` logins of these customers, most as ever, some strange, some refused; and two changes of settings."""
    rng = random.Random(seed)
    now = shop.clock.now()
    homes = [("China Unicom", "CN", "Chrome", "Android"), ("China Mobile", "CN", "Safari", "iOS")]
    away = [("M247 Europe", "RO", "Chrome", "Linux"), ("DigitalOcean", "US", "Firefox", "Windows")]
    async with shop.store.tx("test logins") as tx:
        for number in range(count):
            strange = rng.random() < 0.2
            network, country, browser, system = rng.choice(away if strange else homes)
            score = rng.uniform(0.6, 0.999) if strange else rng.uniform(0.0, 0.3)
            outcome = "block" if score > 0.95 else "ask_again" if strange else "allow"
            await tx.run(
                _LOGIN,
                {
                    "id": new_id(), "at": now - timedelta(minutes=count - number), "customer": rng.choice(customers),
                    "succeeded": not strange or rng.random() < 0.4, "outcome": outcome, "score": score,
                    "reasons": ["new_network", "new_country"] if strange else [], "known": 12,
                    "ip": f"203.0.113.{number % 200}", "network": network, "country": country,
                    "browser": browser, "system": system, "device": f"phone-{number % 9}",
                },
            )  # fmt: skip
        for kind in ("password", "payee"):
            await tx.run(_CHANGE, {"id": new_id(), "at": now, "customer": customers[0], "kind": kind})


_LOGIN: Final = (
    b"INSERT INTO risk.logins (id, at, customer, succeeded, outcome, score, reasons, known, ip, network, country, browser,"
    b" system, device) VALUES (%(id)s, %(at)s, %(customer)s, %(succeeded)s, %(outcome)s, %(score)s, %(reasons)s, %(known)s,"
    b" %(ip)s, %(network)s, %(country)s, %(browser)s, %(system)s, %(device)s)"
)
_CHANGE: Final = (
    b"INSERT INTO risk.setting_changes (id, at, customer, kind, device, ip)"
    b" VALUES (%(id)s, %(at)s, %(customer)s, %(kind)s, 'phone-77', '203.0.113.250')"
)


async def furnish_models(shop: Shop, count: int = 300, seed: int = 7) -> tuple[int, int]:
    """A champion, a challenger that is a little better, and `count` payments of the last weeks that both scored live;
    the models' versions.
    """
    rng, clock = random.Random(seed), shop.clock
    known = tuple(FEATURES)[:5]
    async with shop.store.tx("test models") as tx:
        blobs = [_blob(name, number, known) for number, name in enumerate(("spring", "summer"), 1)]
        champion, challenger = [
            (await registry.keep(tx, blob, "anna", clock, FEATURES)).version for blob in blobs
        ]
        await registry.challenge(tx, str(champion), "anna", clock, "the first one")
        await registry.promote(tx, champion, "ben", clock, FEATURES, reason="better than rules alone")
        await registry.challenge(tx, str(challenger), "anna", clock, "trained on summer too")
        rule_set = await tx.value(b"SELECT max(version) FROM risk.rule_sets")
        configuration = await tx.value(
            _CONFIGURATION, {"rule_set": rule_set, "champion": champion, "at": clock.now()}
        )
        for number in range(count):
            at = clock.now() - timedelta(days=rng.uniform(0, 24))
            id_, fraud = UUID(int=first_id_at(at).int + number + (7 << 76) + (2 << 62)), rng.random() < 0.15
            score = rng.betavariate(6, 2) if fraud else rng.betavariate(1, 14)
            other = min(max(score + rng.gauss(0.05 if fraud else -0.01, 0.02), 0.0), 1.0)
            await tx.run(
                _DECISION,
                {
                    "id": id_, "at": at, "customer": new_id(), "payee": new_id(), "rule_set": rule_set,
                    "features": struct.pack("<2d", 1_234.0, score), "configuration": configuration,
                },
            )  # fmt: skip
            for model, said in ((champion, score), (challenger, other)):
                outcome = "hold" if said > 0.5 else "allow"
                await tx.run(_SAID, {"payment": id_, "model": model, "score": said, "outcome": outcome})
            if fraud:
                await tx.run(_LABEL, {"payment": id_, "at": at + timedelta(days=1)})
    return champion, challenger


def _blob(name: str, seed: int, features: tuple[str, ...]) -> bytes:
    """A small fraud model with a whole card."""
    values, fraud = payments(seed, 1000)
    text = booster(seed, values, fraud, 5).model_to_string()
    card = Card(
        name, "2026-10-01T00:00:00Z", "anna", 7 * 86_400,
        Span("2026-07-01T00:00:00Z", "2026-09-01T00:00:00Z", 410_000, 3_520),
        Span("2026-09-01T00:00:00Z", "2026-09-15T00:00:00Z", 92_000, 801),
        Span("2026-09-15T00:00:00Z", "2026-10-01T00:00:00Z", 104_000, 870),
        Figures(0.874, 0.703, 0.312, 0.734, 0.0041),
        tuple((each, share) for each, share in zip(features, (0.41, 0.3, 0.17, 0.08, 0.04), strict=True)),
        ((0.002, 0.0018, 90_000), (0.06, 0.071, 9_000), (0.23, 0.21, 2_600), (0.55, 0.58, 1_400), (0.91, 0.9, 1_000)),
        {"trees": 300, "rate": 0.04}, {"tillkeeper": "0.5", "lightgbm": "4.7"},
    )  # fmt: skip
    return pack(Artifact(features, Forest((text,), Line((-30.0, 30.0), (-30.0, 30.0))), card))


_CONFIGURATION: Final = (
    b"INSERT INTO risk.configurations (sha256, rule_set, champion, columns, at)"
    b" VALUES (sha256('test'), %(rule_set)s, %(champion)s, '{amount,model_score}', %(at)s) RETURNING version"
)
_DECISION: Final = (
    b"INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, outcome, reasons, rule_set, features,"
    b" configuration) VALUES (%(id)s, %(at)s, 'payment', %(customer)s, %(payee)s, 123400, 'CNY', 'allow', '{}',"
    b" %(rule_set)s, %(features)s, %(configuration)s)"
)
_SAID: Final = (
    b"INSERT INTO risk.shadow_scores (payment, model, score, outcome)"
    b" VALUES (%(payment)s, %(model)s, %(score)s, %(outcome)s)"
)
_LABEL: Final = (
    b"INSERT INTO risk.labels (payment, fraud, source, known_at, written_at)"
    b" VALUES (%(payment)s, true, 'report', %(at)s, %(at)s)"
)


async def furnish_signals(shop: Shop, customer: UUID) -> UUID:
    """A signal that lasts with a rule proposed against it, and one that is over; the lasting one's id."""
    now, lasting = shop.clock.now(), new_id()
    rows = [
        (lasting, "credential_stuffing", "network", "M247 Europe", "page", None),
        (new_id(), "mule_network", "customer", str(customer), "ticket", now - timedelta(minutes=2)),
    ]
    async with shop.store.tx("test signals") as tx:
        for id_, kind, about_kind, about, severity, over in rows:
            begun = now - timedelta(minutes=9)
            row = {
                "id": id_,
                "kind": kind,
                "about_kind": about_kind,
                "about": about,
                "severity": severity,
                "over": over,
            }
            await tx.run(_SIGNAL, row | {"begun": begun, "found": begun + timedelta(seconds=41), "seen": now})
        rule = (
            '[[rule]]\nname = "stuffing_m247"\nversion = 1\noutcome = "challenge"\nwhen = "amount > 70_000"\n'
            'reason.zh = "撞库期间金额达 {amount}"\nreason.en = "{amount} while passwords are tried"\n'
        )
        remedy = {
            "id": new_id(),
            "signal": lasting,
            "at": now,
            "rule": rule,
            "until": now + timedelta(hours=20),
        }
        await tx.run(_REMEDY, remedy)
    return lasting


_SIGNAL: Final = (
    b"INSERT INTO risk.signals (id, kind, about_kind, about, severity, direction, begun_at, found_at, seen_at, over_at,"
    b" value, log_e, log_bound, events, money, currency, evidence) VALUES (%(id)s, %(kind)s, %(about_kind)s, %(about)s,"
    b" %(severity)s, 'up', %(begun)s, %(found)s, %(seen)s, %(over)s, 7, 9, 7, 41, 128000, 'CNY',"
    b' \'{"failed": 37, "opened": 2, "passers": 3}\')'
)
_REMEDY: Final = (
    b"INSERT INTO risk.remedies (id, signal, at, name, rule, until)"
    b" VALUES (%(id)s, %(signal)s, %(at)s, 'stuffing_m247', %(rule)s, %(until)s)"
)


LINE: Final = RuleLine(
    "very_large", 1, "hold", False, 512, 210, 302, 0.41, 0.5, 900_000, 310_000, 120, 220, 510_000, 190_000, 0
)  # fmt: skip


def report_of(now: datetime, payment: UUID) -> Report:
    """What a backtest found that compared two rule sets: one catches more, and disturbs more."""
    other = structs.replace(
        LINE, rule="odd_sum", outcome="deny", hits=44, precision=0.7, alone=12, shadow=True
    )
    return Report(
        begin=now - timedelta(days=20),
        end=now,
        reference="CNY",
        label_delay_s=7 * 86_400,
        payments=81_200,
        judged=80_010,
        frauds=620,
        amount=930_000_000,
        fraud_amount=1_420_000,
        candidate=_side((structs.replace(LINE, hits=560), other), 1_000_000, 640_000),
        base=_side((LINE, structs.replace(LINE, rule="unlucky", hits=7)), 760_000, 610_000),
        changes=(Change("allow", "hold", 31, 44, 2, 260_000, 180_000, (to_typeid("pay", payment),)),),
        remarks=("few_frauds", "no_lists"),
        seconds=4.2,
    )


def _side(rules: tuple[RuleLine, ...], saved: int, disturbed: int) -> Side:
    rank = Ranking(0.871, 0.703, 0.734, 0.312, 0.42)
    return Side(
        rules_sha256="00",
        rules=len(rules),
        model=1,
        anomaly=None,
        outcomes=(Outcome("allow", 80_000, 210, 79_000, 790, 41_000, 1, 70_000),),
        levels=(Level("challenge", 1200, 0.41, 0.66, 1.4, saved, disturbed, 510),),
        rank=rank,
        scored=rank,
        workload=Workload(100, 20, 11.8, 14, 0),
        saved=saved,
        lost=420_000,
        disturbed=disturbed,
        each_rule=rules,
        scores=tuple(map(_part, range(20))),
        days=tuple(_day(n, saved) for n in range(1, 21)),
    )


def _day(n: int, saved: int) -> Day:
    alerts = 12 + n % 5
    return Day(
        f"2026-10-{n:02}", 4000 + 90 * n, 31, alerts, alerts - 2, saved // 20 + 900 * n, 40_000 - 700 * n, 0.3
    )


def _part(n: int) -> Part:
    many = 90_000 // (1 + n**3)
    return Part(n / 20, (n + 1) / 20, n * n // 3, many, 40, (n + 1) / 21, 1 - n / 20, 0.01, 0, 0)


async def furnish_backtests(shop: Shop, payment: UUID, rules: str, base: str) -> list[UUID]:
    """A backtest that is done, one that waits, and one that failed."""
    now = shop.clock.now()
    question = Question(now - timedelta(days=20), now, rules, None, base, None)
    async with shop.store.tx("test backtests") as tx:
        done = await backtest.keep(tx, question, "anna", now, now, report_of(now, payment))
        waits = await backtest.ask(tx, question, "anna", now)
        failed = await backtest.ask(tx, question, "ben", now)
        await tx.run(
            b"UPDATE risk.backtests SET state = 'failed', said = 'it did not end within 3600 s: take a shorter range'"
            b" WHERE id = %(id)s",
            {"id": failed},
        )
    return [done, waits, failed]
