//! Kafka's clients.

use interop::{Jackdaw, Original, kafka_cli, node, python};

#[test]
fn kcat_reads_what_it_wrote_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let lines: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
    let broker = jackdaw.kafka();
    kafka_cli(&["-P", "-b", &broker, "-t", "lines", "-p", "0", "-X", "acks=all"], lines.as_bytes())
        .unwrap()
        .success()
        .unwrap();
    let read = |broker: &str| {
        let arguments = ["-C", "-b", broker, "-t", "lines", "-p", "0", "-o", "beginning", "-e", "-q"];
        kafka_cli(&arguments, b"").unwrap().success().unwrap()
    };
    assert!(read(&broker) == lines, "other lines came out than went in");
    let jackdaw = jackdaw.crash().unwrap();
    assert!(read(&jackdaw.kafka()) == lines, "lines were lost in the crash");
}

#[test]
fn kafka_python() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let output = python("kafka_python_roundtrip.py", &[&jackdaw.kafka(), "kp"]).unwrap().success().unwrap();
    assert!(output.contains("kafka-python ok"), "{output}");
}

#[test]
fn confluent_kafka() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let output = python("confluent_roundtrip.py", &[&jackdaw.kafka(), "ck"]).unwrap().success().unwrap();
    assert!(output.contains("confluent-kafka ok"), "{output}");
}

#[test]
fn jvm_tools_create_and_produce() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let (zookeeper, broker) = (jackdaw.zookeeper(), jackdaw.kafka());
    let topics =
        |arguments: &[&str]| Original::tool("kafka.admin.TopicCommand", arguments, b"").unwrap().success().unwrap();
    let words =
        ["--create", "--zookeeper", &zookeeper, "--replication-factor", "1", "--partitions", "3", "--topic", "ky18"];
    assert!(topics(&words).contains("Created topic ky18."));
    let described = topics(&["--describe", "--bootstrap-server", &broker, "--topic", "ky18"]);
    assert!(described.contains("PartitionCount: 3"), "{described}");
    let arguments = ["--broker-list", &broker, "--topic", "ky18"];
    Original::tool("kafka.tools.ConsoleProducer", &arguments, b"one\ntwo\nthree\n").unwrap().success().unwrap();
    let mut read: Vec<String> = Vec::new();
    for partition in ["0", "1", "2"] {
        let arguments = ["-C", "-b", &broker, "-t", "ky18", "-p", partition, "-o", "beginning", "-e", "-q"];
        read.extend(kafka_cli(&arguments, b"").unwrap().success().unwrap().lines().map(str::to_owned));
    }
    read.sort();
    assert_eq!(read, ["one", "three", "two"]);
    topics(&["--delete", "--bootstrap-server", &broker, "--topic", "ky18"]);
    assert!(!topics(&["--list", "--bootstrap-server", &broker]).contains("ky18"));
}

/// A text of more than 50 MB, real sentences with a number before each, goes in by one client and comes out by another.
#[test]
fn fifty_megabytes_go_in_by_kcat_and_come_out_by_confluent_kafka() {
    let sentences =
        concat!(include_str!("../../../../ARCHITECTURE.md"), include_str!("../../../../docs/compatibility.md"));
    let sentences: Vec<&str> = sentences.lines().filter(|line| !line.is_empty()).collect();
    let mut text = String::with_capacity(51 << 20);
    let mut lines = 0;
    while text.len() < 50 << 20 {
        text.push_str(&format!("{lines} {}\n", sentences[lines % sentences.len()]));
        lines += 1;
    }
    let folder = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(&folder.path().join("data")).unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, &text).unwrap();
    let broker = jackdaw.kafka();
    let path = file.to_str().unwrap();
    kafka_cli(&["-P", "-b", &broker, "-t", "text", "-p", "0", "-z", "lz4", "-l", path], b"")
        .unwrap()
        .success()
        .unwrap();
    let out = python("confluent_dump.py", &[&broker, "text", &lines.to_string()]).unwrap().success().unwrap();
    assert!(out == text, "{} bytes came out of {}", out.len(), text.len());
}

#[test]
fn kafkajs() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let output = node("kafkajs_group.js", &[&jackdaw.kafka(), "kj"]).unwrap().success().unwrap();
    assert!(output.contains("kafkajs ok"), "{output}");
}

#[test]
fn a_group_balances_and_goes_on_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let group =
        |broker: &str, phase: &str| python("kafka_python_group.py", &[broker, "shared", phase]).unwrap().success();
    group(&jackdaw.kafka(), "balance").unwrap();
    let jackdaw = jackdaw.restart().unwrap();
    group(&jackdaw.kafka(), "read").unwrap();
}

#[test]
fn static_members_keep_their_places_and_fence_their_doubles() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let output = python("confluent_static.py", &[&jackdaw.kafka(), "named"]).unwrap().success().unwrap();
    assert!(output.contains("static members ok"), "{output}");
}

#[test]
fn the_jvm_console_consumer_in_a_group() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let broker = jackdaw.kafka();
    kafka_cli(&["-P", "-b", &broker, "-t", "c", "-p", "0"], b"one\ntwo\nthree\n").unwrap().success().unwrap();
    let arguments =
        ["--bootstrap-server", &broker, "--topic", "c", "--group", "g", "--from-beginning", "--max-messages", "3"];
    let read = Original::tool("kafka.tools.ConsoleConsumer", &arguments, b"").unwrap();
    assert_eq!(read.stdout, "one\ntwo\nthree\n", "{read:?}");
    let arguments = ["--bootstrap-server", &broker, "--describe", "--group", "g"];
    let described = Original::tool("kafka.admin.ConsumerGroupCommand", &arguments, b"").unwrap().success().unwrap();
    let row = described.lines().find(|line| line.starts_with("g ")).unwrap_or_else(|| panic!("{described}"));
    assert_eq!(row.split_whitespace().take(6).collect::<Vec<_>>(), ["g", "c", "0", "3", "3", "0"], "{described}");
}
