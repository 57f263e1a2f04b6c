-- ledger: the functions that write. They run with the owner's rights; the application has no others.
-- A changed contract gets a new version beside the old one, so that old and new workers can run together.

-- Post a batch in one round trip; one outcome per entry, in the order given.
--
--   accounts   the accounts concerned, distinct and sorted; debits and credits are 1-based places in it
--   ops        1 post, 2 hold, 3 capture, 4 capture and close, 5 void, 6 expire
--   holds      for 3-6 the hold
--   reverses   for 1 the transfer that is taken back in full: accounts swapped, same amount, once only
--   linked     entry and its follower belong together: all of a chain or nothing
--   days       the business day whose limit a post or hold counts against, or null
--   expires    for 2 the end of the hold
--
-- Outcomes, and at the same time the order in which an entry is checked:
--   1 amount_not_positive   2 same_account           3 debit_account_not_found   4 credit_account_not_found
--   5 currency_differs      6 hold_not_found         7 hold_accounts_differ      8 hold_closed
--   9 exceeds_hold         10 transfer_not_found    11 reversal_differs         12 already_reversed
--  13 day_limit_exceeded   14 insufficient_funds    15 linked_failed             0 ok
-- `booked` is the booking time, moved forward where an account was booked later by a worker whose clock is ahead: on
-- every account booking times follow the versions, so the balance as of a moment is exact.
-- Entries see the effects of those before them; but the hold or transfer that one names must be there before the batch.
-- An entry that is not ok leaves no trace. An id that was posted before raises unique_violation: nothing happens.
--
-- Lock order: accounts by id, then holds by id. A hold is touched only under its debit account's lock.
-- Planner: a join of few parameters with accounts must go through the primary key; with hash or merge join allowed,
-- the generic plan reads the whole table.
CREATE FUNCTION ledger.post_v1(
    ids uuid[], ops smallint[], accounts uuid[], debits integer[], credits integer[], amounts bigint[], kinds text[],
    payments uuid[], holds uuid[], reverses uuid[], linked boolean[], events timestamptz[], expires timestamptz[],
    days date[], booked timestamptz
) RETURNS smallint[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
DECLARE
    n             constant integer := cardinality(ids);
    found         uuid[];
    currencies    text[];
    signs         integer[];     -- what a credit does to the balance: +1 on the credit side, -1 on the debit side
    floors        bigint[];
    day_limits    bigint[];
    balances      bigint[];
    reserves      bigint[];
    versions      bigint[];
    newest_days   date[];
    spendings     bigint[];
    h_ids         uuid[];
    h_debit       uuid[];
    h_credit      uuid[];
    h_left        bigint[];
    h_captured    bigint[];
    h_state       text[];
    h_day         date[];
    outcomes      smallint[] := array_fill(0::smallint, ARRAY[n]);
    debit_after   bigint[] := array_fill(0::bigint, ARRAY[n]);
    credit_after  bigint[] := array_fill(0::bigint, ARRAY[n]);
    debit_ver     bigint[] := array_fill(0::bigint, ARRAY[n]);
    credit_ver    bigint[] := array_fill(0::bigint, ARRAY[n]);
    counted       date[] := array_fill(NULL::date, ARRAY[n]);
    released      bigint[] := array_fill(0::bigint, ARRAY[n]);
    past_days     date[];    -- where a member of a chain began a new day: what was counted on the day before
    past_spendings bigint[];
    has_holds     boolean := false;
    makes_holds   boolean := false;
    chain         integer := 0;
    broken        boolean := false;
    op            integer;
    d             integer;
    c             integer;
    h             integer;
    j             integer;
    amount        bigint;
    rest          bigint;
    after_d       bigint;
    after_c       bigint;
    outcome       smallint;
    original      record;
BEGIN
    IF n = 0 THEN RETURN outcomes; END IF;

    SELECT array_agg(a.id), array_agg(a.currency::text), array_agg(CASE a.side WHEN 'credit' THEN 1 ELSE -1 END),
           array_agg(a.lower_limit), array_agg(a.day_limit), array_agg(a.balance), array_agg(a.held),
           array_agg(a.version), array_agg(a.day), array_agg(a.day_spent), greatest(max(a.booked_at), booked)
      INTO found, currencies, signs, floors, day_limits, balances, reserves, versions, newest_days, spendings, booked
      FROM (SELECT * FROM ledger.accounts AS l WHERE l.id = ANY (post_v1.accounts) ORDER BY l.id FOR UPDATE) AS a;

    -- Normally every account exists and the places agree; if not, each place is looked up once.
    IF found IS DISTINCT FROM accounts THEN
        FOR i IN 1 .. n LOOP
            debits[i] := coalesce(array_position(found, accounts[debits[i]]), 0);
            credits[i] := coalesce(array_position(found, accounts[credits[i]]), 0);
        END LOOP;
        accounts := coalesce(found, '{}');
    END IF;

    IF 3 <= ANY (ops) THEN
        has_holds := true;
        SELECT array_agg(l.id), array_agg(l.debit_account), array_agg(l.credit_account),
               array_agg(l.amount - l.captured), array_agg(l.captured), array_agg(l.state), array_agg(l.counted_day)
          INTO h_ids, h_debit, h_credit, h_left, h_captured, h_state, h_day
          FROM (SELECT * FROM ledger.holds AS o WHERE o.id = ANY (post_v1.holds) ORDER BY o.id FOR UPDATE) AS l;
    END IF;

    FOR i IN 1 .. n LOOP
        IF chain = 0 THEN
            chain := i;
            broken := false;
        END IF;
        op := ops[i];
        d := debits[i];
        c := credits[i];
        amount := amounts[i];
        outcome := 0;

        IF broken THEN
            outcome := 15;
        ELSIF amount <= 0 AND op < 5 THEN
            outcome := 1;
        ELSIF d = c AND d > 0 THEN
            outcome := 2;
        ELSIF d = 0 THEN
            outcome := 3;
        ELSIF c = 0 THEN
            outcome := 4;
        ELSIF currencies[d] <> currencies[c] THEN
            outcome := 5;
        ELSIF op >= 3 THEN
            h := array_position(h_ids, holds[i]);
            IF h IS NULL THEN
                outcome := 6;
            ELSIF h_debit[h] <> accounts[d] OR h_credit[h] <> accounts[c] THEN
                outcome := 7;
            ELSIF h_state[h] <> 'open' THEN
                outcome := 8;
            ELSIF op < 5 AND amount > h_left[h] THEN
                outcome := 9;
            END IF;
        ELSE
            IF op = 1 AND reverses[i] IS NOT NULL THEN
                SELECT t.debit_account, t.credit_account, t.amount,
                       EXISTS (SELECT FROM ledger.transfers AS r WHERE r.reverses = t.id) AS is_reversed
                  INTO original FROM ledger.transfers AS t WHERE t.id = post_v1.reverses[i];
                IF original IS NULL THEN
                    outcome := 10;
                ELSIF original.debit_account <> accounts[c] OR original.credit_account <> accounts[d]
                      OR original.amount <> amount THEN
                    outcome := 11;
                ELSIF original.is_reversed
                      OR EXISTS (SELECT FROM generate_series(1, i - 1) AS e (place)
                                  WHERE post_v1.reverses[e.place] = post_v1.reverses[i]
                                    AND ops[e.place] = 1 AND outcomes[e.place] = 0) THEN
                    outcome := 12;
                END IF;
            END IF;
            -- An older day than the newest spent on counts against the newest: late events get no second allowance.
            IF outcome = 0 AND days[i] IS NOT NULL
               AND (CASE WHEN newest_days[d] >= days[i] THEN spendings[d] ELSE 0 END) + amount > day_limits[d] THEN
                outcome := 13;
            END IF;
            IF outcome = 0 THEN
                IF op = 1 THEN
                    -- Whichever side goes down must stay above its limit.
                    IF (signs[d] = 1 AND balances[d] - amount - reserves[d] < floors[d])
                       OR (signs[c] = -1 AND balances[c] - amount - reserves[c] < floors[c]) THEN
                        outcome := 14;
                    END IF;
                ELSIF signs[d] = -1 OR (signs[c] = -1 AND floors[c] IS NOT NULL)
                      OR balances[d] - reserves[d] - amount < floors[d] THEN
                    -- A capture must never fail for lack of funds. So only the account that holds the reserve may
                    -- be lowered by it: a wallet, in favour of a wallet or of an account without a lower limit.
                    outcome := 14;
                END IF;
            END IF;
        END IF;

        outcomes[i] := outcome;
        IF outcome = 0 THEN
            IF op = 2 THEN
                makes_holds := true;
                reserves[d] := reserves[d] + amount;
            ELSE
                IF op >= 3 THEN
                    rest := CASE WHEN op = 3 THEN 0 ELSE h_left[h] - CASE WHEN op = 4 THEN amount ELSE 0 END END;
                    IF op < 5 THEN
                        h_left[h] := h_left[h] - amount;
                        h_captured[h] := h_captured[h] + amount;
                        reserves[d] := reserves[d] - amount;
                    END IF;
                    reserves[d] := reserves[d] - rest;
                    released[i] := rest;
                    IF h_day[h] IS NOT NULL AND h_day[h] = newest_days[d] THEN
                        spendings[d] := spendings[d] - rest;
                    END IF;
                    IF op = 6 THEN
                        h_state[h] := 'expired';
                    ELSIF op = 5 THEN
                        h_state[h] := 'voided';
                    ELSIF op = 4 OR h_left[h] = 0 THEN
                        h_state[h] := 'captured';
                    END IF;
                END IF;
                IF op < 5 THEN
                    after_d := balances[d] - signs[d] * amount;
                    after_c := balances[c] + signs[c] * amount;
                    balances[d] := after_d;
                    balances[c] := after_c;
                    debit_after[i] := after_d;
                    credit_after[i] := after_c;
                    versions[d] := versions[d] + 1;
                    versions[c] := versions[c] + 1;
                    debit_ver[i] := versions[d];
                    credit_ver[i] := versions[c];
                END IF;
            END IF;
            IF op <= 2 AND days[i] IS NOT NULL THEN
                IF newest_days[d] IS NULL OR newest_days[d] < days[i] THEN
                    IF linked[i] OR chain < i THEN
                        past_days[i] := newest_days[d];
                        past_spendings[i] := spendings[d];
                    END IF;
                    newest_days[d] := days[i];
                    spendings[d] := 0;
                END IF;
                spendings[d] := spendings[d] + amount;
                counted[i] := newest_days[d];
            END IF;
        ELSIF NOT broken AND chain < i THEN
            -- Take back the members of the chain that went through, last first.
            j := i - 1;
            WHILE j >= chain LOOP
                op := ops[j];
                d := debits[j];
                c := credits[j];
                amount := amounts[j];
                IF op = 2 THEN
                    reserves[d] := reserves[d] - amount;
                ELSE
                    IF op >= 3 THEN
                        h := array_position(h_ids, holds[j]);
                        h_state[h] := 'open';
                        reserves[d] := reserves[d] + released[j];
                        IF op < 5 THEN
                            h_left[h] := h_left[h] + amount;
                            h_captured[h] := h_captured[h] - amount;
                            reserves[d] := reserves[d] + amount;
                        END IF;
                        IF h_day[h] IS NOT NULL AND h_day[h] = newest_days[d] THEN
                            spendings[d] := spendings[d] + released[j];
                        END IF;
                    END IF;
                    IF op < 5 THEN
                        balances[d] := balances[d] + signs[d] * amount;
                        balances[c] := balances[c] - signs[c] * amount;
                        versions[d] := versions[d] - 1;
                        versions[c] := versions[c] - 1;
                    END IF;
                END IF;
                IF past_spendings[j] IS NOT NULL THEN
                    newest_days[d] := past_days[j];
                    spendings[d] := past_spendings[j];
                ELSIF counted[j] IS NOT NULL THEN
                    spendings[d] := spendings[d] - amount;
                END IF;
                outcomes[j] := 15;
                j := j - 1;
            END LOOP;
            broken := true;
        ELSIF NOT broken THEN
            broken := true;
        END IF;
        IF NOT linked[i] THEN
            chain := 0;
        END IF;
    END LOOP;

    INSERT INTO ledger.transfers (
        id, debit_account, credit_account, amount, kind, payment, hold, reverses, debit_balance, credit_balance,
        debit_version, credit_version, counted_day, event_at, booked_at)
    SELECT t.id, accounts[t.debit], accounts[t.credit], t.amount, t.kind, t.payment, t.hold, t.reverses,
           t.debit_after, t.credit_after, t.debit_ver, t.credit_ver, t.counted, t.event, booked
      FROM unnest(ids, ops, debits, credits, amounts, kinds, payments, holds, reverses, debit_after, credit_after,
                  debit_ver, credit_ver, counted, events, outcomes)
           AS t (id, op, debit, credit, amount, kind, payment, hold, reverses, debit_after, credit_after,
                 debit_ver, credit_ver, counted, event, outcome)
     WHERE t.outcome = 0 AND t.op IN (1, 3, 4);

    IF makes_holds THEN
        INSERT INTO ledger.holds (id, debit_account, credit_account, amount, payment, counted_day, expires_at, held_at)
        SELECT t.id, accounts[t.debit], accounts[t.credit], t.amount, t.payment, t.counted, t.expires, booked
          FROM unnest(ids, ops, debits, credits, amounts, payments, counted, expires, outcomes)
               AS t (id, op, debit, credit, amount, payment, counted, expires, outcome)
         WHERE t.outcome = 0 AND t.op = 2;
    END IF;

    IF has_holds AND h_ids IS NOT NULL THEN
        UPDATE ledger.holds AS o
           SET captured = u.captured, state = u.state,
               closed_at = CASE WHEN u.state = 'open' THEN NULL ELSE booked END
          FROM unnest(h_ids, h_captured, h_state) AS u (id, captured, state)
         WHERE o.id = u.id AND o.state = 'open';
    END IF;

    UPDATE ledger.accounts AS a
       SET balance = u.balance, held = u.held, version = u.version, day = u.day, day_spent = u.day_spent,
           booked_at = post_v1.booked
      FROM unnest(found, balances, reserves, versions, newest_days, spendings)
           AS u (id, balance, held, version, day, day_spent)
     WHERE a.id = u.id
       AND (a.version, a.held, a.day_spent, a.day) IS DISTINCT FROM (u.version, u.held, u.day_spent, u.day);

    RETURN outcomes;
END;
$$;
REVOKE ALL ON FUNCTION ledger.post_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.post_v1 TO till_app;

-- Open accounts. An id that exists already raises unique_violation.
CREATE FUNCTION ledger.open_v1(
    ids uuid[], currencies text[], sides text[], purposes text[], lower_limits bigint[], day_limits bigint[],
    opened timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO ledger.accounts (id, currency, side, purpose, lower_limit, day_limit, opened_at)
    SELECT t.*, opened FROM unnest(ids, currencies, sides, purposes, lower_limits, day_limits) AS t;
$$;
REVOKE ALL ON FUNCTION ledger.open_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.open_v1 TO till_app;

-- Change what may leave an account in a day; null for no limit. True if the account exists.
CREATE FUNCTION ledger.limit_day_v1(account uuid, new_limit bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH changed AS (UPDATE ledger.accounts SET day_limit = new_limit WHERE id = account RETURNING 1)
    SELECT EXISTS (SELECT FROM changed);
$$;
REVOKE ALL ON FUNCTION ledger.limit_day_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.limit_day_v1 TO till_app;
