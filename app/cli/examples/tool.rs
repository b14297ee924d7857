//! Runs one tool without the servers around it: `cargo run -p cli --example tool -- kafka-topics --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default().to_string_lossy().into_owned();
    match cli::run(&name, &arguments.collect::<Vec<_>>()) {
        Some(code) => ExitCode::from(code as u8),
        None => {
            eprintln!("there is no tool {name:?}");
            ExitCode::FAILURE
        }
    }
}
