//! The benchmark: Jackdaw, the originals and a bare loop under one load generator.
