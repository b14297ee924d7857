//! The command-line tools, one module for each upstream command, and what they are found and started by.

mod argparse;
pub mod console;
pub mod driver;
pub mod four_letter_word;
mod help;
pub mod install;
mod java;
mod json;
pub mod kafka_admin;
mod kafka_admin_calls;
pub mod kafka_zookeeper;
pub mod options;
pub mod properties;
mod tools;
pub mod upstream;
pub mod zookeeper;

use std::ffi::OsString;

/// Runs the tool of an upstream name (`kafka-topics`, `zkCli` ...) or of its Java class and gives its exit code; `None` if
/// there is none of this name.
pub fn run(name: &str, arguments: &[OsString]) -> Option<i32> {
    let texts = || arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
    match name {
        upstream::FOUR_LETTER_WORD => Some(four_letter_word::run(&texts())),
        upstream::VERSION_INFO => Some(four_letter_word::version()),
        _ => tools::run(name, arguments),
    }
}

/// As [`run`], on other streams than those of the process; not for the classes that `zkServer.sh` calls.
pub fn run_on(name: &str, arguments: &[OsString], console: &mut console::Console<'_>) -> Option<i32> {
    tools::run_on(name, arguments, console)
}
