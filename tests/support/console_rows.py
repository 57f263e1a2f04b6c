"""Rows for looking at: a database filled by SQL, much faster than the platform could, for page and plan tests.

Consistent where a page shows it (books balance, running balances chain), random elsewhere. Not for tests of behaviour.
"""

import asyncio
import sys
from uuid import UUID

import psycopg

FIRST_CUSTOMER = UUID("01890000-0000-7000-8000-000000000001")
FIRST_MERCHANT = UUID("01890000-0000-7000-9000-000000000001")

_PARTIES = """
INSERT INTO parties.customers (id, name, state, reference, created_at)
SELECT ('01890000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       (ARRAY['李明','王芳','张伟','刘洋','陈静','Ada Moreau','Jonas Weber','Mia Rossi'])[1 + n %% 8] || ' ' || n,
       CASE WHEN n %% 97 = 0 THEN 'frozen' ELSE 'active' END, 'person-' || n, now() - interval '30 days'
FROM generate_series(1, %(customers)s) AS n;
INSERT INTO parties.merchants (id, name, category, state, fee_bps, latitude, longitude, reference, created_at)
SELECT ('01890000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
       (ARRAY['老街面馆','晨光书店','Harbour Coffee','绿野菜场','Nordlicht Optik'])[1 + n %% 5] || ' ' || n,
       (ARRAY['restaurant','books','cafe','groceries','optician'])[1 + n %% 5],
       CASE WHEN n %% 41 = 0 THEN 'closed' ELSE 'active' END, 60, 31.2 + n * 0.001, 121.4, 'shop-' || n,
       now() - interval '30 days'
FROM generate_series(1, %(merchants)s) AS n;
INSERT INTO payments.wallets (owner, currency, purpose, account, opened_at)
SELECT id, 'CNY', 'wallet', id, created_at FROM parties.customers
UNION ALL SELECT id, 'CNY', 'wallet', id, created_at FROM parties.merchants
UNION ALL SELECT '00000000-0000-0000-0000-000000000000', 'CNY', 'bank',
                 '01890000-0000-7000-a000-000000000001', now();
"""

_RULES = """\
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "large_amount"
version = 1
outcome = "hold"
when = "amount >= 50"
reason.zh = "本笔金额 {amount}"
reason.en = "an amount of {amount}"
"""

_PAYMENTS = """
CREATE TEMP TABLE made AS
SELECT uuidv7((n - %(payments)s) * %(spacing)s * interval '1 second' - interval '0.5 second') AS id, n,
       ('01890000-0000-7000-8000-' || lpad(to_hex(1 + (random() * (%(customers)s - 1))::int), 12, '0'))::uuid AS payer,
       ('01890000-0000-7000-9000-' || lpad(to_hex(1 + (random() ^ 3 * (%(merchants)s - 1))::int), 12, '0'))::uuid AS payee,
       (exp(6.5 + 2.2 * random() + 1.4 * random()) + 50)::bigint AS amount,
       random() AS fate
FROM generate_series(1, %(payments)s) AS n;

INSERT INTO payments.payments (id, kind, state, payer, payee, amount, currency, fee, captured, risk, failure,
                               reference, event_at, created_at, changed_at, expires_at)
SELECT id, 'payment',
       CASE WHEN fate < 0.93 THEN 'succeeded' WHEN fate < 0.975 THEN 'declined' WHEN fate < 0.985 THEN 'expired'
            WHEN n > %(payments)s - 500 THEN 'in_review' ELSE 'succeeded' END,
       payer, payee, amount, 'CNY', CASE WHEN fate < 0.93 THEN amount * 6 / 1000 ELSE 0 END,
       CASE WHEN fate < 0.93 OR (fate >= 0.985 AND n <= %(payments)s - 500) THEN amount ELSE 0 END,
       CASE WHEN fate < 0.95 THEN 'allow' WHEN fate < 0.975 THEN 'deny' WHEN fate < 0.985 THEN 'challenge'
            ELSE 'hold' END,
       CASE WHEN fate BETWEEN 0.93 AND 0.95 THEN 'insufficient_funds' WHEN fate BETWEEN 0.95 AND 0.975 THEN 'denied_by_risk'
            WHEN fate BETWEEN 0.975 AND 0.985 THEN 'expired' END,
       CASE WHEN n %% 7 = 0 THEN 'order-' || n END, at, at, at, NULL
FROM (SELECT *, now() + (n - %(payments)s) * %(spacing)s * interval '1 second' - interval '0.5 second' AS at FROM made) AS m;

INSERT INTO risk.rule_sets (sha256, source, features, loaded_at)
SELECT sha256('rows'::bytea), %(rules)s, ARRAY['amount'], now();
INSERT INTO risk.activations (rule_set, at) SELECT max(version), now() FROM risk.rule_sets;

INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, device, ip, outcome, reasons, rule_set, features)
SELECT p.id, p.event_at, p.kind, p.payer, p.payee, p.amount, p.currency, 'device-1', '203.0.113.7', p.risk,
       CASE WHEN p.risk = 'allow' THEN '{}'::text[] ELSE ARRAY['large_amount'] END,
       (SELECT max(version) FROM risk.rule_sets), decode('0000000000004940', 'hex')
FROM payments.payments AS p JOIN made USING (id);

INSERT INTO payments.samples (at, turns, payments, p50_us, p99_us, max_us)
SELECT date_trunc('second', now()) - n * interval '1 second', 20, 100, 1800, 4000 + (random() * 4000)::int, 12000
FROM generate_series(0, 300) AS n;
"""

_LEDGER = """
INSERT INTO ledger.transfers (id, debit_account, credit_account, amount, kind, payment, debit_balance, credit_balance,
                              debit_version, credit_version, event_at, booked_at)
SELECT uuidv7(created_at - now()), payer, payee, amount, 'payment', id,
       100000000 - sum(amount) OVER (PARTITION BY payer ORDER BY id),
       sum(amount) OVER (PARTITION BY payee ORDER BY id),
       row_number() OVER (PARTITION BY payer ORDER BY id), row_number() OVER (PARTITION BY payee ORDER BY id),
       event_at, created_at
FROM payments.payments WHERE captured > 0;

INSERT INTO ledger.accounts (id, currency, side, purpose, lower_limit, balance, version, opened_at)
SELECT w.account, 'CNY', CASE WHEN w.purpose = 'bank' THEN 'debit' ELSE 'credit' END, w.purpose, 0,
       CASE WHEN w.purpose = 'bank' THEN 100000000::bigint * %(customers)s
            WHEN w.owner IN (SELECT id FROM parties.customers) THEN 100000000 - coalesce(o.paid, 0)
            ELSE coalesce(i.got, 0) END,
       coalesce(o.times, 0) + coalesce(i.times, 0), w.opened_at
FROM payments.wallets AS w
LEFT JOIN (SELECT debit_account, sum(amount) AS paid, count(*) AS times FROM ledger.transfers GROUP BY 1) AS o
       ON o.debit_account = w.account
LEFT JOIN (SELECT credit_account, sum(amount) AS got, count(*) AS times FROM ledger.transfers GROUP BY 1) AS i
       ON i.credit_account = w.account;
ANALYZE;
"""


async def fill(
    admin_url: str, payments: int, *, customers: int = 500, merchants: int = 50, spacing: float = 0.02
) -> None:
    """Rows of `payments` payments, `spacing` seconds apart, the last one half a second ago."""
    params = {
        "payments": payments,
        "customers": customers,
        "merchants": merchants,
        "spacing": spacing,
        "rules": _RULES,
    }
    async with await psycopg.AsyncConnection.connect(admin_url) as connection:
        for part in (_PARTIES, _PAYMENTS, _LEDGER):
            async with psycopg.AsyncClientCursor(connection) as cursor:
                await cursor.execute(part.encode(), params)


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
