//! A panic ends the process, and its log tells why.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use config::Properties;
use host::logging::{KAFKA_DEFAULT, Log, LogSettings, end_process_on_panic};

/// Where the process that panics writes its log.
const FOLDER: &str = "JACKDAW_TEST_PANIC";

#[test]
fn a_panic_of_one_thread_ends_the_process_and_is_in_its_log() {
    if let Ok(folder) = std::env::var(FOLDER) {
        // In the process below.
        let file = Properties::parse(KAFKA_DEFAULT.as_bytes()).unwrap();
        let system = [("kafka.logs.dir", folder.as_str())].into_iter().collect();
        let log = Log::start(LogSettings::parse(&file, &system, &mut Vec::new())).unwrap();
        end_process_on_panic(Some(log));
        let thread = std::thread::Builder::new().name("loop-0".to_owned()).spawn(|| panic!("half of a turn is done"));
        let _ = thread.unwrap().join();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "a_panic_of_one_thread_ends_the_process_and_is_in_its_log";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{stderr}");
    assert!(stderr.contains("half of a turn is done"), "{stderr}");
    let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap();
    let line = log.lines().find(|line| line.contains("FATAL")).unwrap();
    assert!(line.contains("A bug ends this process: panicked at "), "{line}");
    assert!(line.ends_with(": half of a turn is done (jackdaw.Panic)"), "{line}");
}
