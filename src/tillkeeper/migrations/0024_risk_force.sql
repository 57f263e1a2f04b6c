-- risk: what is in force: decisions' configuration, lists, mutes, the origin of activations.
SELECT;
