-- risk: models, champion and challengers.
SELECT;
