"""A stand-in for the platform's API over loopback: enough of it for the city to live, and faults on demand.

It is no second truth about the platform: it keeps keys and payments in dictionaries and says yes to almost anything.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

Body = dict[str, Any]


class Request:
    def __init__(self, method: str, path: str, key: str | None, body: Body) -> None:
        self.method, self.path, self.key, self.body = method, path, key, body


class StandIn:
    """`faults` names what happens to the n-th request: "ok", "lost" (dropped unread), "late" (done, answer dropped),
    "503" or "silent" (done, never answered); after its end everything is "ok".
    """

    def __init__(self, faults: Iterable[str] = ()) -> None:
        self.faults = itertools.chain(faults, itertools.repeat("ok"))
        self.requests: list[Request] = []
        self.answers: dict[str, tuple[int, Body]] = {}
        self.payments: dict[str, Body] = {}
        self.parties: dict[str, Body] = {}
        self.decide: Callable[[Body], str] = lambda _: "allow"
        self.port = 0
        self._numbers = itertools.count(1)

    # -- what the platform does

    def answer(self, request: Request) -> tuple[int, Body]:
        if request.key is not None and request.key in self.answers:
            return self.answers[request.key]
        status, body = self._route(request)
        if request.key is not None:
            self.answers[request.key] = (status, body)
        return status, body

    def _route(self, request: Request) -> tuple[int, Body]:  # noqa: PLR0911 - one line for each address
        path, _, query = request.path.partition("?")
        parts = path.strip("/").split("/")[1:]
        if request.method == "GET":
            return self._read(parts, query)
        if amount_wrong(request.body) or request.body.get("payer") == request.body.get("payee", "nobody"):
            return 422, {"code": "invalid_value", "status": 422}
        match parts:
            case ["customers" | "merchants" as kind]:
                return 201, self._open(kind, request.body)
            case ["merchants", _, "qr-codes"]:
                return 201, {"id": f"qr_{next(self._numbers):06d}"}
            case ["payments" | "sends" | "top-ups" | "withdrawals" as kind]:
                return 201, dict(self._make(kind, request.body))
            case ["payments", payment, deed]:
                return self._change(self.payments[payment], deed, request.body)
            case ["fraud-reports"]:
                return 201, {}
        return 404, {"code": "not_found"}

    def _read(self, parts: list[str], query: str) -> tuple[int, Body]:
        match parts:
            case ["customers" | "merchants", party]:
                return 200, self.parties[party]
            case ["customers" | "merchants" as kind]:
                return 200, self._page(
                    [each for each in self.parties.values() if each["kind"] == kind], query
                )
            case ["payments"]:
                wanted = "pending" if "state=pending" in query else ""
                rows = [each for each in reversed(self.payments.values()) if wanted in {"", each["state"]}]
                return 200, self._page(rows, query)
        return 404, {"code": "not_found"}

    def _page(self, rows: list[Body], query: str) -> Body:
        values = dict(pair.split("=") for pair in query.split("&"))
        start, limit = int(values.get("cursor", 0)), int(values["limit"])
        more = start + limit < len(rows)
        return {"data": rows[start : start + limit], "next_cursor": str(start + limit) if more else None}

    def _open(self, kind: str, body: Body) -> Body:
        number = f"{kind[:3]}_{next(self._numbers):06d}"
        wallets = [{"currency": code, "balance": 0, "held": 0, "available": 0} for code in body["currencies"]]
        self.parties[number] = {
            "id": number,
            "kind": kind,
            "reference": body["reference"],
            "wallets": wallets,
        }
        return self.parties[number]

    def _make(self, kind: str, body: Body) -> Body:
        risk = self.decide(body) if kind in {"payments", "sends"} else None
        state = {"challenge": "challenged", "hold": "in_review", "deny": "declined"}.get(
            risk or "", "succeeded"
        )
        if state == "succeeded" and body.get("capture") == "manual":
            state = "authorized"
        number = f"pay_{next(self._numbers):06d}"
        self.payments[number] = {
            "id": number,
            "kind": {
                "payments": "payment",
                "sends": "send",
                "top-ups": "top_up",
                "withdrawals": "withdrawal",
            }[kind],
            "state": state,
            "amount": body["amount"],
            "currency": body["currency"],
            "captured": body["amount"] if state == "succeeded" else 0,
            "risk": risk,
            "failure": {"code": "denied_by_risk", "title": ""} if risk == "deny" else None,
            "challenge": {"expires_at": "", "sandbox_code": "123456"} if risk == "challenge" else None,
        }
        return self.payments[number]

    def _change(self, payment: Body, deed: str, body: Body) -> tuple[int, Body]:
        if deed == "challenge" and body["code"] != "123456":
            return 409, {"code": "challenge_failed"}
        payment["state"] = {"void": "voided", "refunds": "refunded"}.get(deed, "succeeded")
        payment["captured"] = 0 if deed == "void" else body.get("amount", payment["amount"])
        payment["challenge"] = None
        return 200, dict(payment)

    # -- how it speaks

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                fault = next(self.faults)
                self.requests.append(request)
                if fault == "lost":
                    break
                status, body = (503, {"code": "overloaded"}) if fault == "503" else self.answer(request)
                if fault == "late":
                    break
                if fault == "silent":
                    await asyncio.sleep(3600)
                writer.write(_response(status, body))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


def amount_wrong(body: Body) -> bool:
    return "payer" in body and not (isinstance(body.get("amount"), int) and body["amount"] > 0)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.decode().split("\r\n")
    headers = dict(each.lower().split(": ", 1) for each in rest if each)
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = line.split(" ")
    return Request(method, path, headers.get("idempotency-key"), json.loads(raw) if raw else {})


def _response(status: int, body: Body) -> bytes:
    raw = json.dumps(body).encode()
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


@asynccontextmanager
async def standing_in(faults: Iterable[str] = ()) -> AsyncIterator[StandIn]:
    """A stand-in on a free port of loopback, gone at the end."""
    api = StandIn(faults)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(api.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    api.port = server.sockets[0].getsockname()[1]
    try:
        yield api
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
