-- name: add_customer
-- A new customer.
INSERT INTO parties.customers (id, name, reference, created_at)
VALUES (%(id)s, %(name)s, %(reference)s, %(at)s) RETURNING id;

-- name: add_merchant
-- A new merchant.
INSERT INTO parties.merchants (id, name, category, fee_bps, latitude, longitude, reference, created_at)
VALUES (%(id)s, %(name)s, %(category)s, %(fee_bps)s, %(latitude)s, %(longitude)s, %(reference)s, %(at)s) RETURNING id;

-- name: customers
-- Customers by id, in no order.
SELECT id, name, state, reference, created_at FROM parties.customers WHERE id = ANY (%(ids)b::uuid[]);

-- name: merchants
-- Merchants by id, in no order.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at
FROM parties.merchants WHERE id = ANY (%(ids)b::uuid[]);

-- name: customer_page
-- Customers, newest first, before a cursor.
SELECT id, name, state, reference, created_at FROM parties.customers
WHERE id < %(before)s ORDER BY id DESC LIMIT %(limit)s;

-- name: customer_by_reference
-- The one customer with a reference.
SELECT id, name, state, reference, created_at FROM parties.customers WHERE reference = %(reference)s;

-- name: merchant_page
-- Merchants, newest first, before a cursor.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at
FROM parties.merchants WHERE id < %(before)s ORDER BY id DESC LIMIT %(limit)s;

-- name: merchant_by_reference
-- The one merchant with a reference.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at
FROM parties.merchants WHERE reference = %(reference)s;

-- name: set_customer_state
-- Freeze or unfreeze.
UPDATE parties.customers SET state = %(state)s WHERE id = %(id)s RETURNING id;

-- name: set_merchant_state
-- Close or reopen.
UPDATE parties.merchants SET state = %(state)s WHERE id = %(id)s RETURNING id;

-- name: standings
-- What a payment must know of its parties: whether they may take part, and the merchant's fee.
SELECT id, false AS merchant, state = 'active' AS active, 0 AS fee_bps
FROM parties.customers WHERE id = ANY (%(ids)b::uuid[])
UNION ALL
SELECT id, true, state = 'active', fee_bps
FROM parties.merchants WHERE id = ANY (%(ids)b::uuid[]);

-- name: customers_by_references
-- Who is called so by the caller, in no order.
SELECT reference, id FROM parties.customers WHERE reference = ANY (%(references)b::text[]);

-- name: merchants_by_references
-- Which shops are called so by the caller, in no order.
SELECT reference, id FROM parties.merchants WHERE reference = ANY (%(references)b::text[]);

-- name: add_customers
-- Many new customers.
INSERT INTO parties.customers (id, name, reference, created_at)
SELECT id, name, reference, %(at)s
FROM unnest(%(ids)b::uuid[], %(names)b::text[], %(references)b::text[]) AS t (id, name, reference);

-- name: add_merchants
-- Many new merchants of one category and fee, without a place.
INSERT INTO parties.merchants (id, name, category, fee_bps, reference, created_at)
SELECT id, name, %(category)s, %(fee_bps)s, reference, %(at)s
FROM unnest(%(ids)b::uuid[], %(names)b::text[], %(references)b::text[]) AS t (id, name, reference);
