-- name: add_merchant
-- A new merchant.
INSERT INTO parties.merchants (id, name, category, fee_bps, latitude, longitude, reference, created_at)
VALUES (%(id)s, %(name)s, %(category)s, %(fee_bps)s, %(latitude)s, %(longitude)s, %(reference)s, %(at)s) RETURNING id;

-- name: customers
-- Customers by id, in no order.
SELECT id, name, sealing_key, full_name, phone, id_number, state, reference, created_at
FROM parties.customers WHERE id = ANY (%(ids)b::uuid[]);

-- name: merchants
-- Merchants by id, in no order.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at
FROM parties.merchants WHERE id = ANY (%(ids)b::uuid[]);

-- name: customer_page
-- Customers, newest first, before a cursor.
SELECT id, name, sealing_key, full_name, phone, id_number, state, reference, created_at
FROM parties.customers WHERE id < %(before)s ORDER BY id DESC LIMIT %(limit)s;

-- name: customer_by_reference
-- The one customer with a reference.
SELECT id, name, sealing_key, full_name, phone, id_number, state, reference, created_at
FROM parties.customers WHERE reference = %(reference)s;

-- name: customers_by_name
-- Customers whose name has one of these beacons, newest first: more than those of that name.
SELECT id, name, sealing_key, full_name, phone, id_number, state, reference, created_at
FROM parties.customers WHERE full_name_tag IN (%(tag)b, %(other_tag)b) ORDER BY id DESC LIMIT %(limit)s;

-- name: customers_by_phone
-- Customers with a phone number, newest first.
SELECT id, name, sealing_key, full_name, phone, id_number, state, reference, created_at
FROM parties.customers WHERE phone_tag IN (%(tag)b, %(other_tag)b) ORDER BY id DESC LIMIT %(limit)s;

-- name: customers_by_id_number
-- Customers with an id number, newest first.
SELECT id, name, sealing_key, full_name, phone, id_number, state, reference, created_at
FROM parties.customers WHERE id_number_tag IN (%(tag)b, %(other_tag)b) ORDER BY id DESC LIMIT %(limit)s;

-- name: merchant_page
-- Merchants, newest first, before a cursor.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at
FROM parties.merchants WHERE id < %(before)s ORDER BY id DESC LIMIT %(limit)s;

-- name: merchant_by_reference
-- The one merchant with a reference.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at
FROM parties.merchants WHERE reference = %(reference)s;

-- name: set_customer_state
-- Freeze or unfreeze; who was erased stays so.
UPDATE parties.customers SET state = CASE state WHEN 'erased' THEN state ELSE %(state)s END
WHERE id = %(id)s RETURNING state;

-- name: set_merchant_state
-- Close or reopen.
UPDATE parties.merchants SET state = %(state)s WHERE id = %(id)s RETURNING id;

-- name: standings
-- What a payment must know of its parties: whether they may take part, and the merchant's fee.
SELECT id, false AS merchant, state = 'active' AS active, state = 'erased' AS erased, 0 AS fee_bps
FROM parties.customers WHERE id = ANY (%(ids)b::uuid[])
UNION ALL
SELECT id, true, state = 'active', false, fee_bps
FROM parties.merchants WHERE id = ANY (%(ids)b::uuid[]);

-- name: lock_standings
-- The same, and it stays so until the end of the transaction: who freezes or closes one of them waits, and then nothing of
-- theirs goes on.
SELECT id, false AS merchant, state = 'active' AS active, state = 'erased' AS erased, 0 AS fee_bps
FROM (SELECT id, state FROM parties.customers WHERE id = ANY (%(ids)b::uuid[]) ORDER BY id FOR SHARE) AS kept
UNION ALL
SELECT id, true, state = 'active', false, fee_bps
FROM (SELECT id, state, fee_bps FROM parties.merchants WHERE id = ANY (%(ids)b::uuid[]) ORDER BY id FOR SHARE) AS kept;

-- name: customers_by_references
-- Who is called so by the caller, in no order.
SELECT reference, id FROM parties.customers WHERE reference = ANY (%(references)b::text[]);

-- name: merchants_by_references
-- Which shops are called so by the caller, in no order.
SELECT reference, id FROM parties.merchants WHERE reference = ANY (%(references)b::text[]);

-- name: add_customers
-- New customers, sealed.
INSERT INTO parties.customers
    (id, reference, created_at, sealing_key, full_name, full_name_tag, phone, phone_tag, id_number, id_number_tag)
SELECT id, reference, %(at)s, sealing_key, full_name, full_name_tag, phone, phone_tag, id_number, id_number_tag
FROM unnest(
    %(ids)b::uuid[], %(references)b::text[], %(sealing_keys)b::bytea[], %(full_names)b::bytea[], %(full_name_tags)b::bytea[],
    %(phones)b::bytea[], %(phone_tags)b::bytea[], %(id_numbers)b::bytea[], %(id_number_tags)b::bytea[]
) AS t (id, reference, sealing_key, full_name, full_name_tag, phone, phone_tag, id_number, id_number_tag)
RETURNING id;

-- name: any_in_the_clear
-- Whether there are customers older than the vault.
SELECT EXISTS (SELECT FROM parties.customers WHERE name IS NOT NULL);

-- name: in_the_clear
-- Some of the customers older than the vault, for whoever seals them.
SELECT id, name FROM parties.customers WHERE name IS NOT NULL ORDER BY id LIMIT %(limit)s FOR UPDATE;

-- name: seal_customers
-- Names in the clear give way to their cells.
UPDATE parties.customers AS c
SET name = NULL, sealing_key = t.sealing_key, full_name = t.full_name, full_name_tag = t.full_name_tag
FROM unnest(%(ids)b::uuid[], %(sealing_keys)b::bytea[], %(full_names)b::bytea[], %(full_name_tags)b::bytea[])
    AS t (id, sealing_key, full_name, full_name_tag)
WHERE c.id = t.id AND c.name IS NOT NULL;

-- name: add_merchants
-- Many new merchants of one category and fee, without a place.
INSERT INTO parties.merchants (id, name, category, fee_bps, reference, created_at)
SELECT id, name, %(category)s, %(fee_bps)s, reference, %(at)s
FROM unnest(%(ids)b::uuid[], %(names)b::text[], %(references)b::text[]) AS t (id, name, reference);

-- name: lock_customer
-- A customer's state, kept as it is until the end of the transaction.
SELECT state FROM parties.customers WHERE id = %(id)s FOR UPDATE;

-- name: hold_on
-- The legal hold in force on a customer.
SELECT id, customer, reason, placed_by, placed_at, released_by, released_at
FROM parties.legal_holds WHERE customer = %(customer)s AND released_at IS NULL;

-- name: place_hold
-- Forbid an erasure.
INSERT INTO parties.legal_holds (id, customer, reason, placed_by, placed_at)
VALUES (%(id)s, %(customer)s, %(reason)s, %(actor)s, %(at)s);

-- name: release_hold
-- Allow it again.
UPDATE parties.legal_holds SET released_by = %(actor)s, released_at = %(at)s, release_reason = %(reason)s
WHERE customer = %(customer)s AND released_at IS NULL RETURNING id;

-- name: erase_customers
-- Key, cells and tags go; that there was a phone number stays to be seen, which it was does not.
UPDATE parties.customers
SET state = 'erased', name = NULL, reference = NULL,
    sealing_key = '', full_name = '', phone = CASE WHEN phone IS NULL THEN NULL ELSE ''::bytea END,
    id_number = CASE WHEN id_number IS NULL THEN NULL ELSE ''::bytea END,
    full_name_tag = NULL, phone_tag = NULL, id_number_tag = NULL
WHERE id = ANY (%(ids)b::uuid[]);

-- name: add_erasures
-- Who was erased, by whom and why.
INSERT INTO parties.erasures (customer, actor, reason, erased_at)
SELECT * FROM unnest(%(customers)b::uuid[], %(actors)b::text[], %(reasons)b::text[], %(times)b::timestamptz[])
ON CONFLICT (customer) DO NOTHING;

-- name: erasures
-- Everybody who was erased, in no order.
SELECT customer, actor, reason, erased_at FROM parties.erasures;

-- name: erasure_of
-- How a customer was erased.
SELECT customer, actor, reason, erased_at FROM parties.erasures WHERE customer = %(customer)s;
