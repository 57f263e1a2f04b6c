"""The OpenAPI document: valid, complete, and true: Schemathesis calls every operation with whatever it allows."""

import itertools
import os
import random
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from tests.support.api import new_key
from tests.support.postgres import Database, apart
from tests.support.server import serving
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.store import Store

EXAMPLES = 15
WAIT_SECONDS = 120
_keys = itertools.count()


@pytest.fixture(scope="module")
def token(module_database: Database) -> str:
    made: list[str] = []

    async def make() -> None:
        async with Store.opened(module_database.app_url, size=1) as store:
            made.append(await new_key(store, SystemClock()))

    apart(make())
    return made[0]


@pytest.fixture(scope="module")
def address(module_database: Database) -> Iterator[str]:
    settings = Settings(
        database_url=module_database.app_url,
        admin_database_url=module_database.admin_url,
        allow_private_webhooks=True,
    )
    with serving(settings) as url:
        yield url


@pytest.fixture(scope="module")
def document(address: str) -> dict[str, Any]:
    return dict(httpx.get(f"{address}/openapi.json", timeout=WAIT_SECONDS).json())


@pytest.fixture(scope="module")
def known(address: str, token: str) -> dict[str, list[str]]:
    """Real ids by the names that parameters and fields have, so that calls reach further than the first check."""
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, timeout=WAIT_SECONDS) as client:

        def make(path: str, body: dict[str, Any]) -> str:
            response = client.post(path, json=body, headers={"idempotency-key": f"made-{next(_keys)}"})
            assert response.status_code == 201, response.text
            return str(response.json()["id"])

        people = [make("/v1/customers", {"name": f"c{n}", "currencies": ["CNY"]}) for n in range(3)]
        shops = [
            make("/v1/merchants", {"name": f"m{n}", "category": "cafe", "currencies": ["CNY"]})
            for n in range(2)
        ]
        codes = [make(f"/v1/merchants/{shops[0]}/qr-codes", {"currency": "CNY"}) for _ in range(2)]
        orders = [
            make("/v1/payments", {"payer": people[0], "merchant": shops[0], "amount": 5, "currency": "CNY"})
            for _ in range(2)
        ]
        hooks = [make("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/", "topics": ["*"]})]
    return {
        **dict.fromkeys(("payer", "payee", "customer", "customer_id", "owner"), people),
        **dict.fromkeys(("merchant", "merchant_id"), shops),
        **dict.fromkeys(("payment", "payment_id"), orders),
        **dict.fromkeys(("party_id", "party"), people + shops),
        "qr": codes,
        "endpoint_id": hooks,
        "currency": ["CNY"],
        "currencies": ["CNY"],
    }


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_every_operation_says_what_it_does_takes_and_gives(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            codes = set(operation["responses"])
            if path.startswith("/v1/"):
                assert {"401", "403", "422", "503"} <= codes, where
                for code in codes - {"200", "201", "204"}:
                    assert list(operation["responses"][code]["content"]) == ["application/problem+json"], (
                        where
                    )
            assert codes & {"200", "201", "204"}, where
            assert ("requestBody" in operation) <= (method == "post"), where


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


# The api lives in another thread, where it draws random numbers too: Hypothesis takes them for its own.
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_every_operation_keeps_to_the_document(
    document: dict[str, Any], address: str, token: str, known: dict[str, list[str]]
) -> None:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=address)
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    caller, reached = _Caller(token, known, int(os.environ["TILL_SEED"])), dict[str, set[int]]()
    for operation in operations:
        _call_often(operation, caller, reached.setdefault(operation.label, set()))
    print({label: sorted(seen) for label, seen in reached.items()})
    # It did not stop at the first check: most operations were also done.
    assert sum(bool(seen & {200, 201, 204}) for seen in reached.values()) >= len(operations) * 2 // 3


class _Caller:
    """Makes cases real: ids of what exists in most places, an idempotency key."""

    def __init__(self, token: str, known: dict[str, list[str]], seed: int) -> None:
        self.token, self.known, self.rng = token, known, random.Random(seed)

    def prepare(self, case: Any) -> dict[str, str]:
        for values in (case.path_parameters, case.query, case.body):
            if isinstance(values, dict):
                for name in values:
                    if name in self.known and self.rng.random() < 0.8:
                        one = self.rng.choice(self.known[name])
                        values[name] = [one] if name == "currencies" else one
        if case.operation.path == "/v1/payments" and isinstance(
            case.body, dict
        ):  # one of the two names the payee
            one, other = self.rng.sample(["qr", "merchant"], 2)
            case.body.pop(other, None)
            case.body[one] = self.rng.choice(self.known[one])
        return {
            "Authorization": f"Bearer {self.token}",
            "Idempotency-Key": f"k-{self.rng.getrandbits(48):x}z",
        }


def _call_often(operation: Any, caller: _Caller, seen: set[int]) -> None:
    @hypothesis.seed(caller.rng.randrange(2**32))
    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @hypothesis.given(case=operation.as_strategy())
    def call(case: Any) -> None:
        response = case.call(headers=caller.prepare(case), timeout=WAIT_SECONDS)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    call()
