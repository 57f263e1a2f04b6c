-- risk: alerts and cases.
SELECT;
