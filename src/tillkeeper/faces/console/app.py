"""The console as an application: pages, door, live figures."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from tillkeeper import access, monitoring
from tillkeeper.access.entrance import Entrance
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.faces.console import door
from tillkeeper.faces.console.board import Board
from tillkeeper.faces.console.desk import Desk, Page, Web
from tillkeeper.faces.console.live import Audience, Live
from tillkeeper.faces.console.pages import (
    account,
    alerts,
    approvals,
    audit,
    backtests,
    backups,
    calendar,
    cases,
    customer,
    customers,
    errors,
    grants,
    held,
    lists,
    logins,
    models,
    overview,
    payments,
    people,
    plan_form,
    plans,
    proposals,
    reports,
    risk,
    rule_form,
    rules,
    runs,
    session,
    sign_in,
    signals,
    staff,
)
from tillkeeper.faces.console.pages import monitoring as monitoring_page
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.sites import Sites
from tillkeeper.faces.console.statics import read_statics
from tillkeeper.faces.console.texts import read_texts
from tillkeeper.faces.model_deeds import PROMOTE
from tillkeeper.faces.rule_deeds import ACTIVATE
from tillkeeper.maintenance.plans import APPROVE, LIFT, OVERRIDE, Calendar, read_calendar
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.parties import Register
from tillkeeper.payments import REFUND, WITHDRAWAL, Till, erasure, release
from tillkeeper.store import Store
from tillkeeper.vault import Vault

_HANDLERS = [
    overview.overview,
    overview.live,
    overview.books,
    payments.payments,
    payments.payment,
    held.held,
    held.verdict,
    approvals.approvals,
    approvals.decide,
    approvals.carry_out,
    approvals.withdraw,
    grants.grants,
    grants.end,
    customers.customers,
    customers.search,
    customer.customer,
    customer.reveal,
    customer.erase,
    people.merchants,
    people.merchant,
    runs.runs,
    runs.run,
    runs.live,
    runs.pause,
    runs.steer,
    risk.overall,
    models.models,
    models.model,
    models.challenge,
    models.retire,
    models.promote,
    models.undo,
    logins.logins,
    logins.history,
    risk.payments,
    signals.signals,
    signals.propose,
    signals.close,
    lists.lists,
    lists.add,
    lists.end,
    proposals.propose,
    proposals.proposal,
    proposals.activate,
    backtests.backtests,
    backtests.ask,
    backtests.one,
    rule_form.new,
    rule_form.check,
    rules.rules,
    rules.rule,
    cases.queue,
    cases.case,
    cases.claim,
    cases.release,
    cases.hand_over,
    cases.note,
    cases.decide,
    cases.reopen,
    cases.put_on_list,
    monitoring_page.monitoring,
    alerts.alerts,
    alerts.acknowledge,
    alerts.silence,
    alerts.end_silence,
    plans.plans,
    plans.plan,
    plans.file,
    plans.submit,
    plans.withdraw,
    plans.rehearse,
    plans.ask,
    plans.override,
    plans.start,
    plan_form.new,
    plan_form.change,
    calendar.calendar,
    calendar.freeze,
    calendar.lift,
    calendar.window,
    reports.reports,
    reports.report,
    reports.whole,
    reports.file,
    reports.review,
    reports.done,
    reports.plan,
    backups.backups,
    backups.ask,
    audit.trail,
    audit.export,
    audit.event,
    sign_in.sign_in,
    sign_in.by_link,
    sign_in.passkey_question,
    sign_in.by_passkey,
    sign_in.by_password,
    sign_in.leave_for_provider,
    sign_in.back_from_provider,
    sign_in.confirm,
    sign_in.confirm_question,
    sign_in.confirmed,
    account.account,
    account.passkey_question,
    account.add_passkey,
    account.remove_passkey,
    account.set_password,
    account.remove_password,
    account.begin_authenticator,
    account.new_authenticator,
    account.prove_authenticator,
    account.remove_authenticator,
    account.make_recovery_codes,
    account.connect_provider,
    account.remove_provider,
    account.end_sessions,
    staff.staff,
    staff.invite,
    staff.one,
    staff.invite_again,
    staff.ask_for_roles,
    staff.suspend,
    staff.reinstate,
    staff.end_sessions,
    session.sign_out,
    session.preferences,
    session.static,
]


def create_console(
    store: Store,
    clock: Clock,
    timezone: str,
    till: Till,
    vault: Vault,
    entrance: Entrance,
    *,
    sites: Sites | None = None,
    four_eyes_amount: int = limits.FOUR_EYES_AMOUNT,
    register: Register | None = None,
    book: alerting.RuleBook | None = None,
    calendar_of: Calendar | None = None,
) -> Litestar:
    """The console over a store. `timezone`: the business time zone (IANA name). `till`: carries verdicts out; `entrance`
    lets people in. `sites`: the addresses the console answers under; unset: those of this machine. `register`: of erasures,
    outside the database; without it nobody is erased here. `book`: what is watched; unset: the package's own rule book.
    `calendar_of`: when maintenance may run; unset: the package's own.

    Raises PolicyError for a route that declares no action, or one that no policy knows.
    """
    zone = ZoneInfo(timezone)
    statics = read_statics()
    renderers = {language: Renderer(texts, zone, statics) for language, texts in read_texts().items()}
    hasty = store.hasty(limits.PAGE_WAIT_SECONDS)  # pages read by it; the till waits as long as payments do
    board = Board(hasty, vault, clock, zone)

    async def draw(audience: Audience) -> dict[str, str]:
        return overview.draw_live(await board.refresh(), renderers[audience.language], audience.may)

    kinds = [release(till), REFUND, WITHDRAWAL, access.ROLE_CHANGE, access.ROOT_CHANGE, access.grants.BULK]
    kinds += [APPROVE, OVERRIDE, LIFT, PROMOTE, ACTIVATE]
    deeds = access.approvals.deeds(*kinds, *([erasure(register, clock)] if register else []))
    live, answers_as = Live(draw), sites or Sites()
    watched = book or alerting.read_book(None, MEASURES)
    desk = Desk(
        hasty, clock, zone, renderers, statics, live, till, vault, deeds, four_eyes_amount, entrance,
        calendar=calendar_of or read_calendar(None),
    )  # fmt: skip

    async def enter(request: Web) -> Page | None:
        return await door.enter(request, desk, answers_as)

    # Not in after_request: the framework keeps that with the handler, whichever console it was first called in.
    async def promise(message: Message, _: Scope) -> None:
        if message["type"] == "http.response.start":
            given = [(name.encode(), value.encode()) for name, value in answers_as.headers.items()]
            message["headers"] = [*message["headers"], *given]

    app = Litestar(
        _HANDLERS,
        dependencies={
            "desk": Provide(lambda: desk, sync_to_thread=False),
            "board": Provide(lambda: board, sync_to_thread=False),
            "book": Provide(lambda: watched, sync_to_thread=False),
        },
        before_request=enter,
        after_request=door.put_headers,
        before_send=[promise],
        exception_handlers={HTTPException: errors.refuse, Exception: errors.fail},
        lifespan=[_living(desk, store)],
        state=State({"desk": desk}),
        request_max_body_size=limits.MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )
    access.policies().check_routes("Person", _routes(app))
    return app


def _routes(app: Litestar) -> dict[str, Mapping[str, Any]]:
    """The options of every way in, by method and path; OPTIONS only says which methods there are."""
    return {
        f"{method} {route.path}": handler.opt
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method != HttpMethod.OPTIONS
    }


def _living(desk: Desk, store: Store) -> Any:
    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        oneself = monitoring.Oneself("console", store)
        sampler = monitoring.Sampler(store, oneself.sources(), desk.clock)
        working = [asyncio.create_task(each) for each in (oneself.watch_loop(), sampler.run())]
        try:
            async with desk.live.running():
                yield
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    return running
