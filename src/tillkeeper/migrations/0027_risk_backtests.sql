-- risk: backtests.
SELECT;
