//! `cargo run -p config --example render`: writes `docs/compatibility.md`. `cargo xtask fix` runs it.

mod compatibility;

#[expect(clippy::disallowed_methods, reason = "a tool of the workspace, not part of the core")]
fn main() -> std::io::Result<()> {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md"), compatibility::page())
}
