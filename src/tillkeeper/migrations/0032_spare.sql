-- risk: nothing yet. H5: delete this file when you add your own 0032 (numbers must have no gap).
SELECT 1;
