//! From the start of the process to its first answer: on no data, and on what a clean stop left.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use kafka_proto::record::Codec;

use super::Setting;
use crate::load::{self, Load};
use crate::requests::kafka::{Client, batch, produce, topic};
use crate::requests::zookeeper::{ERROR_AT, Operation, Session};
use crate::servers::{self, Kind, Programs, Server, System};
use crate::table;

const RUNS: usize = 3;
const ZNODES: u64 = 10_000;
const PARTITIONS: i32 = 8;
const BATCHES: usize = 100;

/// Median start-up times of each server.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let mut text = table::table(&["start-up, ms (median of 3)", "jackdaw", "jvm", "jackdaw : jvm"]);
    for system in [System::ZooKeeper, System::Kafka] {
        let times = |kind: Kind| -> Result<Option<[Duration; 2]>> {
            let wanted = setting.options.kinds.contains(&kind);
            wanted.then(|| measure(system, kind, setting)).transpose()
        };
        let (jackdaw, jvm) = (times(Kind::Jackdaw)?, times(Kind::Jvm)?);
        let cases = match system {
            System::ZooKeeper => ["ZooKeeper, no data", "ZooKeeper, 10,000 znodes"],
            System::Kafka => ["broker, no data", "broker, 8 partitions of 100 batches"],
        };
        for (at, case) in cases.into_iter().enumerate() {
            let seconds = |times: Option<[Duration; 2]>| Some(times?.get(at)?.as_secs_f64());
            let cells = [jackdaw, jvm]
                .map(|times| seconds(times).map_or_else(table::dash, |seconds| table::three_digits(seconds * 1e3)));
            let part = table::ratio(seconds(jackdaw), seconds(jvm));
            table::push(&mut text, &[&[case.to_owned()][..], &cells, &[part]].concat());
        }
    }
    Ok(format!(
        "## Start-up to the first answer\n\nZooKeeper: a session is granted. Broker: a Metadata answer names a controller; \
         its ZooKeeper runs already.\n\n{text}"
    ))
}

/// Without data, and with.
fn measure(system: System, kind: Kind, setting: &Setting) -> Result<[Duration; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for run in 0..RUNS {
        let folder = setting.folder("startup", kind).join(format!("{system:?}-{run}"));
        let [empty, existing] = start_twice(system, kind, &setting.programs, &folder)?;
        eprintln!("{:<8} start-up of {system:?}: {empty:?}, on data {existing:?}", kind.name());
        for (times, time) in times.iter_mut().zip([empty, existing]) {
            times.push(time);
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times.get(RUNS / 2).copied().unwrap_or_default()
    }))
}

fn start_twice(system: System, kind: Kind, programs: &Programs, folder: &Path) -> Result<[Duration; 2]> {
    // A broker's ZooKeeper is not what is measured.
    let zookeeper =
        (system == System::Kafka).then(|| servers::zookeeper(kind, programs, &folder.join("zookeeper"))).transpose()?;
    let start = || match &zookeeper {
        None => servers::zookeeper(kind, programs, folder),
        Some(zookeeper) => servers::broker_alone(kind, programs, &folder.join("kafka"), zookeeper.port),
    };
    let server = start()?;
    let empty = server.start_up;
    match system {
        System::ZooKeeper => fill_zookeeper(&server)?,
        System::Kafka => fill_kafka(&server)?,
    }
    server.stop()?;
    let server = start()?;
    let existing = server.start_up;
    server.stop()?;
    Ok([empty, existing])
}

fn fill_zookeeper(server: &Server) -> Result<()> {
    let mut session = Session::open(server.port)?;
    session.create("/tree")?;
    load::run(Load {
        connections: vec![(session.into_stream(), Operation::Create.template("/tree"))],
        window: 64,
        error_at: ERROR_AT,
        warm_up: Duration::ZERO,
        span: Duration::from_secs(600),
        requests_max: ZNODES,
        pids: vec![server.pid()],
    })?;
    Ok(())
}

fn fill_kafka(server: &Server) -> Result<()> {
    let mut client = Client::connect(server.port)?;
    client.create_topic(&topic(0), PARTITIONS)?;
    let records = batch(10, 100, Codec::None)?;
    for partition in 0..PARTITIONS {
        let request = produce(&topic(0), partition, 1, records.clone())?;
        for _ in 0..BATCHES {
            client.produce_once(&request)?;
        }
    }
    Ok(())
}
