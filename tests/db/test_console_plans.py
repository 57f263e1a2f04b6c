"""Maintenance plans in the console: written as a form without a script, carried through their states, frozen, proposed."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import msgspec
import pytest

from tests.support.desk import Colleague, Console, console
from tests.support.plans import agree, approved, rehearse, submit, waiting
from tillkeeper.access import approvals
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import from_typeid
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Calendar, Filed, read_plan, templates
from tillkeeper.store import Store
from tillkeeper.vault import Vault


@pytest.fixture
async def desk(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock, calendar_of=Calendar()) as opened:
        yield opened


def inputs(page: str) -> dict[str, str]:
    """What a browser would send of a page's form if nobody touched it."""
    form = page[page.index('class="plan"') :]
    found = {
        unescape(n): unescape(v) for n, v in re.findall(r'<input id="([^"]+)"[^>]*? value="([^"]*)"', form)
    }
    found |= {
        unescape(n): unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    }
    found |= {n: unescape(v) for n, v in re.findall(r'<textarea id="([^"]+)"[^>]*>([^<]*)</textarea>', form)}
    found |= dict.fromkeys(re.findall(r'type="checkbox" id="([^"]+)"[^>]* checked', form), "on")
    for name, options in re.findall(r'<select id="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        assert chosen is not None
        found[name] = unescape(chosen[1])
    return found


async def send(colleague: Colleague, form: dict[str, str], deed: str, **changed: str) -> Any:
    return await colleague.post("/plan-form", **(form | changed | {"deed": deed}))


async def stored(desk: Console, location: str) -> Filed:
    async with desk.store.tx("stored") as tx:
        found = await plans.get(tx, from_typeid("pln", location.split("/")[2].partition("?")[0]))
    assert found is not None
    return found


async def test_an_untouched_template_is_the_plan_of_its_file(desk: Console) -> None:
    anna = await desk.sign_in("anna")
    for name, text in templates().items():
        page = (await anna.get(f"/plan-form?template={name}")).text
        answer = await send(anna, inputs(page), "submit")
        assert answer.status_code == 303, (name, re.findall(r'class="mistake"[^>]*>([^<]*)', answer.text))
        made = msgspec.structs.replace(read_plan(text, desk.application.state["desk"].zone), owner="anna")
        assert (await stored(desk, answer.headers["location"])).plan == made, name


async def test_steps_are_added_moved_and_taken_away(desk: Console) -> None:
    anna = await desk.sign_in("anna")
    page = (await anna.get("/plan-form")).text
    for kind in ("table.vacuum", "index.create", "table.analyze"):
        page = (await send(anna, inputs(page), "add", kind=kind)).text
    first = {"steps.0.parameters.table": "store.leases", "steps.2.parameters.table": "payments.refunds"}
    page = (await send(anna, inputs(page), "up.2", **first)).text
    page = (await send(anna, inputs(page), "remove.2")).text
    said = await send(anna, inputs(page), "keep", goal="Tidy", reason="dead rows")
    draft = await stored(desk, said.headers["location"])
    steps = [(each.kind, each.parameters.get("table")) for each in draft.plan.steps]
    assert (draft.state, steps) == (
        "draft",
        [("table.vacuum", "store.leases"), ("table.analyze", "payments.refunds")],
    )
    page = (await anna.get(f"/plan-form?like={draft.public_id}")).text
    said = await send(anna, inputs(page), "submit", goal="Tidy up")
    sent = await stored(desk, said.headers["location"])
    assert (sent.state, sent.replaces, sent.plan.goal) == ("submitted", draft.id, "Tidy up")
    assert (await stored(desk, f"/plans/{draft.public_id}")).state == "withdrawn"


async def test_mistakes_stand_beside_their_fields_and_nothing_is_lost(desk: Console) -> None:
    anna = await desk.sign_in("anna")
    form = inputs((await anna.get("/plan-form?template=index")).text)
    wrong = {
        "goal": "",
        "steps.0.parameters.table": "payments",
        "guardrails.0.worse_by": "much",
        "plan_window.begin": "2026-04-16T03:00",
    }
    answer = await send(anna, form, "submit", **wrong)
    assert answer.status_code == 422
    marked = set(re.findall(r'id="m-([^"]+)"', answer.text))
    assert {"guardrails.0.worse_by", "plan_window.end"} <= marked
    assert inputs(answer.text)["steps.0.parameters.table"] == "payments"
    wrong |= {"guardrails.0.worse_by": "1", "plan_window.begin": ""}
    answer = await send(anna, form, "submit", **wrong)
    assert set(re.findall(r'id="m-([^"]+)"', answer.text)) == {"goal", "steps.0.parameters.table"}
    assert "as in payments.payments" in answer.text
    script = await send(anna, form, "submit", goal="<script>alert(1)</script>", owner="")
    assert "<script>alert" not in script.text


async def test_a_plan_goes_its_way_by_buttons(desk: Console, store: Store, clock: ManualClock) -> None:
    anna, ben = await desk.sign_in("anna"), await desk.sign_in("ben", ["operator"])
    filed = await submit(store, clock)
    at = f"/plans/{filed.public_id}"
    page = (await anna.get(at)).text
    assert "To be rehearsed before anybody may agree." in page
    assert f'action="{at}/start"' not in page
    assert (await anna.post(f"{at}/start")).status_code == 409
    assert (await anna.post(f"{at}/rehearse")).headers["location"] == f"{at}?notice=rehearsal_asked"
    assert "Being rehearsed" in (await anna.get(at)).text
    await rehearse(store, clock, filed)
    (asked,) = await waiting(store, clock)
    given = await ben.post(
        f"/approvals/{approvals.approval_id(asked)}",
        verdict="give",
        digest=asked.digest.hex(),
        comment="seen",
    )
    assert given.headers["location"] == "/approvals?notice=carried_out"
    page = (await anna.get(at)).text
    assert "Agreed: it may begin now" in page
    assert f'href="{at}"' in (await anna.get("/plans")).text
    started = await anna.post(f"{at}/start")
    assert re.fullmatch(r"/runs/run_\w+", started.headers["location"])
    assert "It is being carried out." in (await anna.get(at)).text
    assert (await anna.post(f"{at}/withdraw")).status_code == 409
    text = (await anna.get(f"{at}/file")).text
    assert read_plan(text, desk.application.state["desk"].zone).digest == filed.digest
    assert (await anna.get("/plans/pln_1")).status_code == 404


async def test_a_freeze_and_the_ways_around_it(desk: Console, store: Store, clock: ManualClock) -> None:
    anna = await desk.sign_in("anna")
    filed = await approved(store, clock)
    times = {"begins": "2026-04-15T08:00", "ends": "2026-04-17T08:00"}
    assert (await anna.post("/freezes", **times, reason="")).status_code == 422
    assert (await anna.post("/freezes", begins="x", ends="y", reason="sale")).status_code == 422
    assert (await anna.post("/freezes", **times, reason="spring sale")).headers[
        "location"
    ] == "/calendar?notice=frozen_time"
    page = (await anna.get("/calendar")).text
    assert "Freeze: spring sale" in page
    (lift,) = re.findall(r'action="(/freezes/frz_\w+/lift)"', page)
    page = (await anna.get(f"/plans/{filed.public_id}")).text
    assert "It may begin from" in page
    assert (await anna.post(f"/plans/{filed.public_id}/override", reason=" ")).status_code == 422
    await anna.post(f"/plans/{filed.public_id}/override", reason="cannot wait")
    assert "anna asked for an exception" in (await anna.get(f"/plans/{filed.public_id}")).text
    (asked,) = await waiting(store, clock)
    await agree(store, clock, asked)
    assert "Agreed: it may begin now" in (await anna.get(f"/plans/{filed.public_id}")).text
    assert (await anna.post(lift, reason="over")).headers["location"] == "/approvals?notice=asked"
    assert "anna asked to lift it." in (await anna.get("/calendar")).text


async def test_a_proposed_window_becomes_a_plan(desk: Console, store: Store, clock: ManualClock) -> None:
    anna = await desk.sign_in("anna")
    filed = await submit(store, clock)
    page = (await anna.get(f"/plans/{filed.public_id}/window")).text
    assert "Nothing is known of the traffic yet" in page
    assert page.count('class="unknown"') == 168
    link = unescape(re.findall(r'href="(/plan-form\?like=[^"]+)"', page)[0])
    said = await send(anna, inputs((await anna.get(link)).text), "submit")
    made = (await stored(desk, said.headers["location"])).plan
    assert made.window is not None
    assert made.steps == filed.plan.steps
