-- risk: early warning: signals, attacks, proposed rules.
SELECT;
