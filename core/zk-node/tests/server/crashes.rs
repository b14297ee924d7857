//! What a crash leaves: everything acknowledged.
