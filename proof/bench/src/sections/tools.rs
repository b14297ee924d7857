//! The performance tools of the original, as a user would run them: JVM clients against each broker.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::Setting;
use crate::requests::kafka::Client;
use crate::servers::{self, Kind};

const RECORDS_QUICK: &str = "500000";
const RECORDS: &str = "5000000";
const TOPIC: &str = "perf";

/// What the tools print at their end.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let mut text = "## The original's own tools\n\nTheir last lines, against each broker.\n\n```text\n".to_owned();
    let records = if setting.options.quick { RECORDS_QUICK } else { RECORDS };
    setting.for_each_kind("tools", |kind, folder| {
        if kind == Kind::Bare {
            return Ok(());
        }
        let broker = servers::broker(kind, &setting.programs, &folder)?;
        Client::connect(broker.server.port)?.create_topic(TOPIC, 4)?;
        Client::connect(broker.server.port)?.create_topic("e2e", 1)?;
        let address = format!("127.0.0.1:{}", broker.server.port);
        let producer = format!("bootstrap.servers={address}");
        let produce = [
            "org.apache.kafka.tools.ProducerPerformance",
            "--topic",
            TOPIC,
            "--num-records",
            records,
            "--record-size",
            "100",
            "--throughput",
            "-1",
            "--producer-props",
            &producer,
            "acks=1",
        ];
        let consume =
            ["kafka.tools.ConsumerPerformance", "--topic", TOPIC, "--broker-list", &address, "--messages", records];
        let latency = ["kafka.tools.EndToEndLatency", &address, "e2e", "2000", "1", "100"];
        for arguments in [&produce[..], &consume, &latency] {
            let line = last_line(setting, arguments)?;
            eprintln!("{:<8} {line}", kind.name());
            let tool = arguments.first().and_then(|class| class.rsplit('.').next()).unwrap_or_default();
            text.push_str(&format!("{:<8} {tool}: {line}\n", kind.name()));
        }
        Ok(())
    })?;
    text.push_str("```\n");
    Ok(text)
}

fn last_line(setting: &Setting, arguments: &[&str]) -> Result<String> {
    let mut command = setting.programs.java(&["-Xmx512m"]);
    let output = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?} ended with {}:\n{text}{error}", output.status);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    Ok(last.context("the tool said nothing")?.trim().to_owned())
}
