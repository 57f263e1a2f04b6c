-- store: news that every reader has read are deleted when they are past their time (vault/sweeping.py).
GRANT DELETE ON store.outbox TO till_app;
