//! Throttling and limits.
