-- name: claim_attempts
-- Take attempts that are due and put their next try off, so that they stay ours while the bank is called and come
-- back by themselves if we die. Only a try that was seen to fail is counted: dying is not the bank's silence.
UPDATE payments.rail_attempts AS a
SET state = 'sent', due_at = %(claimed_until)s
FROM (
    SELECT id FROM payments.rail_attempts
    WHERE state IN ('due', 'sent') AND due_at <= %(now)s AND tries < %(max_tries)s
    ORDER BY due_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS due
WHERE a.id = due.id
RETURNING a.id, a.payment, a.rail, a.direction, a.amount, a.currency, a.instruction, a.tries, a.acknowledged;

-- name: put_off_attempt
-- No final word yet: when to try again, and what was said.
UPDATE payments.rail_attempts
SET tries = tries + 1, due_at = %(due_at)s, answer = %(answer)s, acknowledged = acknowledged OR %(acknowledged)s
WHERE id = %(id)s AND state = 'sent';

-- name: payment_of_attempt
-- Which payment an attempt that waits for the bank belongs to.
SELECT payment FROM payments.rail_attempts WHERE id = %(id)s AND state IN ('due', 'sent');

-- name: unanswered_attempts
-- What still waits for the bank since before a time, the oldest first.
SELECT id, payment, rail, direction, amount, currency, tries, answer, created_at
FROM payments.rail_attempts
WHERE state IN ('due', 'sent') AND created_at <= %(before)s AND due_at < '9999-01-01'  -- later: a person has to let it go
ORDER BY created_at
LIMIT %(limit)s;
