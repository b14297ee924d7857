//! Znodes, sessions, watches, ACLs and quotas: a request becomes a transaction (prep), a transaction becomes state and events (apply).
