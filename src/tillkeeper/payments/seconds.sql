-- name: seconds
-- What each api process counted in each second between two moments, in order.
SELECT at, asked, failed, payments, p50_us, p99_us FROM payments.samples
WHERE at > %(since)s AND at <= %(until)s
ORDER BY at LIMIT %(limit)s;

-- name: arrivals
-- Payments that arrived between two moments, by what has become of them. `first` and `last` bound the walk of the primary
-- key; an id is made a little before created_at is set, which has the last word.
SELECT state, count(*) FROM payments.payments
WHERE id >= %(first)s AND id < %(last)s AND created_at >= %(since)s AND created_at < %(until)s
GROUP BY state ORDER BY state;
