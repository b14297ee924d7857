//! The binary: picks a server or a tool by subcommand, or by the name it was called by.

fn main() {}
