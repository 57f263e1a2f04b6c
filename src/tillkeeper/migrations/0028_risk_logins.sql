-- risk: logins and changes of settings.
SELECT;
