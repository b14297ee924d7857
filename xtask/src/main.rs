//! `cargo xtask verify | fix | tidy | interop | bench`: one command for people and CI.

fn main() {}
