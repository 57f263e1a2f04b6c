"""Payments and decisions to look at; fraud reports; the rules in force; health."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from tillkeeper.base import limits
from tillkeeper.base.clock import to_us
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import refuse
from tillkeeper.faces.api import bodies, views
from tillkeeper.faces.api.documents import order_responses, responses
from tillkeeper.faces.api.door import TheCounter, Web, asked_text, id_in, key_of, once
from tillkeeper.faces.api.paging import Cursor, Limit, id_cursor
from tillkeeper.faces.api.problems import answer
from tillkeeper.payments import MOVES, PaymentView, Reason, browse, payment_body, payment_view
from tillkeeper.payments import payment as find_payment
from tillkeeper.risk import Label, Receipt, explain, receipt, scorers_of
from tillkeeper.risk.models import BadModelError, Scorer
from tillkeeper.store import Answer, StoreUnavailableError, Tx, is_transient

_encode = msgspec.json.Encoder().encode
Party = Annotated[
    str | None, QueryParameter(max_length=limits.MAX_TEXT, description="A customer or merchant.")
]
State = Annotated[str | None, QueryParameter(name="state", max_length=30, description=", ".join(MOVES))]


@get("/v1/payments/{payment_id:str}", responses=order_responses(200), action="payment.view")
async def payment(counter: TheCounter, payment_id: FromPath[str]) -> Response[bytes]:
    """One payment as it is now."""
    wanted = id_in("pay", payment_id, "payment")
    async with counter.store.tx("payment") as tx:
        found = await find_payment(tx, wanted)
        if found is None:
            raise refuse("unknown_payment", "check the id")
        decided = await receipt(tx, wanted) if found.risk else None
    reasons = [Reason(*each) for each in explain(decided).told] if decided else []
    return answer(Answer(200, payment_body(payment_view(found, reasons))))


@get("/v1/payments", responses=responses(200, views.Payments), action="payment.view")
async def payments(
    counter: TheCounter,
    cursor: Cursor = None,
    limit: Limit = limits.PAGE_DEFAULT,
    party: Party = None,
    in_state: State = None,
    reference: Annotated[str | None, QueryParameter(max_length=limits.MAX_TEXT)] = None,
) -> Response[bytes]:
    """Payments, newest first. Reasons are not listed here: see the payment or its decision."""
    if in_state is not None and in_state not in MOVES:
        raise refuse("invalid_value", f"one of {', '.join(MOVES)}", "state")
    who = id_in("mer" if party.startswith("mer_") else "cus", party, "party") if party else None
    wanted = browse.Filter(party=who, state=in_state, reference=asked_text(reference, "reference"))
    async with counter.store.tx("payments") as tx:
        page = await browse.search(tx, wanted, id_cursor(cursor), limit)
    rows: list[PaymentView] = [payment_view(row, ()) for row in page.rows]
    return answer(
        Answer(
            200,
            _encode(views.Payments(rows, to_typeid("cur", page.next_before) if page.next_before else None)),
        )
    )


@get(
    "/v1/payments/{payment_id:str}/decision",
    responses=responses(200, views.DecisionView),
    action="decision.view",
)
async def decision(counter: TheCounter, payment_id: FromPath[str]) -> Response[bytes]:
    """The receipt of a payment's risk decision."""
    wanted = id_in("pay", payment_id, "payment")
    async with counter.store.tx("decision") as tx:
        found = await receipt(tx, wanted)
        if found is None:
            raise refuse("unknown_payment", "there is no decision about it")
        scorers = await _scorers(tx, found)
    explained = await asyncio.to_thread(explain, found, "en", scorers)
    view = views.DecisionView(
        to_typeid("dec", wanted),
        payment_id,
        found.at,
        found.outcome,
        found.rule_set,
        [views.ReasonView(each.rule, each.outcome, each.text) for each in explained.reasons],
        {each.name: each.value for each in explained.values},
        found.configuration,
        [views.EffectView(each.kind, each.what, each.text) for each in explained.effects],
        [
            views.ScoreView(
                each.role,
                each.model,
                each.score,
                [views.ScoreReason(one.feature, one.text) for one in each.reasons],
            )
            for each in explained.scored
        ],
    )
    return answer(Answer(200, _encode(view)))


async def _scorers(tx: Tx, found: Receipt) -> Mapping[int, Scorer]:
    """The models of that day; none where this release cannot read them: the rest of the receipt is still good."""
    try:
        return await scorers_of(tx, found)
    except BadModelError:
        return {}


@post("/v1/fraud-reports", responses=responses(201, views.FraudReportView), action="fraud.report")
async def report_fraud(
    request: Web, counter: TheCounter, data: JSONBody[bodies.NewFraudReport]
) -> Response[bytes]:
    """Say what a payment turned out to be; risk learns from it, known from now on."""
    wanted = id_in("pay", data.payment, "payment")
    labels: list[Label] = []

    async def act(tx: Tx, now: datetime) -> Answer:
        if await find_payment(tx, wanted) is None:
            raise refuse("unknown_payment", "check the id", "payment")
        labels.append(Label(wanted, data.fraud, to_us(now), "report"))
        await counter.engine.write_labels(tx, labels)
        return Answer(201, _encode(views.FraudReportView(data.payment, data.fraud, now)))

    done = await once(counter, await key_of(request), "fraud report", act)
    counter.engine.learn(labels)  # only now: what is learnt is committed
    return answer(done)


@get("/v1/rules", responses=responses(200, views.RulesView), action="rules.view")
async def rules(counter: TheCounter) -> Response[bytes]:
    """The risk rules in force."""
    found = [
        views.RuleView(rule.name, rule.outcome, rule.when, rule.reason("en"))
        for rule in counter.engine.rules.rules
    ]
    return answer(Answer(200, _encode(views.RulesView(counter.engine.version, found))))


@get("/health", public=True, responses=responses(200, views.Health, (503,)))
async def health(counter: TheCounter) -> Response[bytes]:
    """Whether payments can be taken: asks the database."""
    try:
        async with counter.store.tx("health") as tx:
            await tx.value(b"SELECT 1")
    except Exception as error:
        if not (is_transient(error) or isinstance(error, StoreUnavailableError)):
            raise
        return Response(
            _encode(views.Health("down", "unreachable")), status_code=503, media_type="application/json"
        )
    return answer(Answer(200, _encode(views.Health("up", "up"))))


HANDLERS = [payment, payments, decision, report_fraud, rules, health]
