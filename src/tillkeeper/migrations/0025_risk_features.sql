-- risk: declared features.
SELECT;
