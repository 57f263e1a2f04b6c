-- risk: an alert names the case that it is in, so that a case of any size is read by an index and what waits for one is a short list;
-- and what the retention of the house (vault/sweeping.py) may delete.

ALTER TABLE risk.alerts ADD COLUMN case_id uuid REFERENCES risk.cases;
GRANT UPDATE (case_id) ON risk.alerts TO till_app;
UPDATE risk.alerts AS a SET case_id = c.case_id FROM risk.case_alerts AS c WHERE c.alert = a.id;
-- Gone at once: a program of the version before, still at work, fails and tries again, instead of joining an alert twice.
DROP TABLE risk.case_alerts;

DROP INDEX risk.alerts_queued;
CREATE INDEX alerts_waiting ON risk.alerts (id) WHERE queued AND case_id IS NULL;
-- A case's page: its alerts by what may be lost, its payments by age.
CREATE INDEX alerts_by_case ON risk.alerts (case_id, expected_loss DESC, id) WHERE case_id IS NOT NULL;
CREATE INDEX alerts_payments_of_case ON risk.alerts (case_id, payment) WHERE case_id IS NOT NULL AND payment IS NOT NULL;
CREATE INDEX alerts_of_signal ON risk.alerts (signal) WHERE signal IS NOT NULL;

-- One's own cases, and those that are late and of which nobody was told yet: neither walks the whole queue.
CREATE INDEX cases_claimed ON risk.cases (claimed_by) WHERE state = 'open' AND claimed_by IS NOT NULL;
CREATE INDEX cases_untold ON risk.cases (due_at) WHERE state = 'open' AND overdue_at IS NULL;

-- What people did about a signal and what was proposed against it go with it.
ALTER TABLE risk.remedies DROP CONSTRAINT remedies_signal_fkey,
    ADD CONSTRAINT remedies_signal_fkey FOREIGN KEY (signal) REFERENCES risk.signals ON DELETE CASCADE;
ALTER TABLE risk.signal_acts DROP CONSTRAINT signal_acts_signal_fkey,
    ADD CONSTRAINT signal_acts_signal_fkey FOREIGN KEY (signal) REFERENCES risk.signals ON DELETE CASCADE;
CREATE INDEX backtests_by_end ON risk.backtests (ended_at) WHERE state IN ('done', 'failed');
GRANT DELETE ON risk.alerts, risk.signals, risk.backtests, risk.shadow_scores TO till_app;
