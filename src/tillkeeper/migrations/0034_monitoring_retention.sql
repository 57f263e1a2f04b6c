-- monitoring: what the retention of the house may delete (vault/sweeping.py). What became of an alert goes with it.
GRANT DELETE ON monitoring.series, monitoring.alerts, monitoring.silences TO till_app;
ALTER TABLE monitoring.alert_events DROP CONSTRAINT alert_events_alert_fkey,
    ADD CONSTRAINT alert_events_alert_fkey FOREIGN KEY (alert) REFERENCES monitoring.alerts ON DELETE CASCADE;
