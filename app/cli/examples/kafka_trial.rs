//! Tries the client machines against a broker: `kafka_trial HOST:PORT [produce|consume|group|admin ...]`.
//!
//! `produce TOPIC COUNT [key=value ...]` sends numbered records, `consume TOPIC [key=value ...]` reads all partitions from
//! the start until nothing comes for three seconds, `group TOPIC GROUP SECONDS [key=value ...]` reads as a member,
//! `admin TOPIC` creates, describes, alters and deletes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base::Str;
use bytes::Bytes;
use cli::driver::Driver;
use kafka_client::{
    Admin, AdminConfig, Consumer, ConsumerConfig, ConsumerEvent, Interest, Producer, ProducerConfig, ProducerRecord,
    SendError, To, TopicPartition,
};
use kafka_proto::messages::{create_topics, delete_topics, describe_configs, list_groups};
use kafka_proto::{AnyRequest, AnyResponse};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, command, rest @ ..] = arguments.as_slice() else { return Err("HOST:PORT COMMAND".into()) };
    let properties = || {
        let given = rest.iter().filter_map(|argument| argument.split_once('='));
        [("bootstrap.servers", server.as_str())].into_iter().chain(given)
    };
    let word = |index: usize| rest.get(index).cloned().unwrap_or_default();
    match command.as_str() {
        "produce" => produce(ProducerConfig::new(properties())?.0, &word(0), word(1).parse()?),
        "consume" => consume(ConsumerConfig::new(properties())?.0, &word(0)),
        "group" => {
            let group = word(1);
            let config = ConsumerConfig::new(properties().chain([("group.id", group.as_str())]))?.0;
            subscribe(config, &word(0), Duration::from_secs(word(2).parse()?))
        }
        "admin" => admin(AdminConfig::new(properties())?.0, &word(0)),
        other => Err(format!("unknown command {other}").into()),
    }
}

fn warn() -> cli::driver::Warn {
    Box::new(|logger, message| eprintln!("WARN {message} ({logger})"))
}

fn produce(config: ProducerConfig, topic: &str, count: u64) -> Result<(), Failure> {
    let mut driver = Driver::new(Producer::new(config, 1), warn());
    let topic = Str::copied(topic);
    let started = Instant::now();
    let (mut delivered, mut failed) = (0, 0);
    for number in 0..count {
        let mut record = ProducerRecord {
            topic: topic.clone(),
            partition: None,
            timestamp_ms: driver.now().wall_ms,
            key: None,
            value: Some(Bytes::from(format!("record {number} {}", "x".repeat(80)))),
            headers: vec![(Bytes::from_static(b"number"), Some(Bytes::from(number.to_string())))],
        };
        loop {
            let now = driver.now();
            match driver.machine.send(record, now) {
                Ok(_) => break,
                Err(SendError::Full(back)) => record = *back,
                Err(SendError::Refused(error)) => return Err(error.into()),
            }
            driver.step(Duration::from_millis(100));
        }
        if number % 100 == 0 {
            driver.step(Duration::ZERO);
        }
        while let Some((_, result)) = driver.machine.next_delivery() {
            if result.is_ok() { delivered += 1 } else { failed += 1 }
        }
    }
    driver.machine.flush();
    driver.run_until(Duration::from_secs(60), |producer, _| {
        while let Some((id, result)) = producer.next_delivery() {
            match result {
                Ok(_) => delivered += 1,
                Err(error) => {
                    failed += 1;
                    eprintln!("record {}: {}: {error}", id.0, error.exception());
                }
            }
        }
        producer.is_idle().then_some(())
    });
    println!("delivered {delivered}, failed {failed}, in {:?}", started.elapsed());
    Ok(())
}

fn consume(config: ConsumerConfig, topic: &str) -> Result<(), Failure> {
    let mut driver = Driver::new(Consumer::new(config, 1), warn());
    let topic = Str::copied(topic);
    let partitions =
        driver.run_until(Duration::from_secs(20), |consumer, _| consumer.partitions(&topic)).ok_or("no such topic")?;
    let partitions: Vec<_> =
        partitions.into_iter().map(|partition| TopicPartition::new(topic.clone(), partition)).collect();
    driver.machine.assign(partitions.clone());
    for partition in &partitions {
        driver.machine.seek_to_beginning(partition);
    }
    read(&mut driver, Instant::now() + Duration::from_secs(120), Some(Duration::from_secs(3)))
}

fn subscribe(config: ConsumerConfig, topic: &str, time: Duration) -> Result<(), Failure> {
    let mut driver = Driver::new(Consumer::new(config, 1), warn());
    driver.machine.subscribe([Str::copied(topic)])?;
    read(&mut driver, Instant::now() + time, None)?;
    let now = driver.now();
    driver.machine.close(now);
    driver.run_until(Duration::from_secs(10), |consumer, _| consumer.is_closed().then_some(())).ok_or("not closed")?;
    Ok(())
}

fn read(driver: &mut Driver<Consumer>, end: Instant, quiet: Option<Duration>) -> Result<(), Failure> {
    let mut counts: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    let started = Instant::now();
    let mut last = Instant::now();
    while Instant::now() < end && quiet.is_none_or(|quiet| last.elapsed() < quiet) {
        driver.step(Duration::from_millis(200));
        while let Some(event) = driver.machine.next_event() {
            println!("{event:?}");
            if let ConsumerEvent::Failed(error) = event {
                return Err(error.into());
            }
        }
        let now = driver.now();
        loop {
            let records = driver.machine.poll(now)?;
            if records.is_empty() {
                break;
            }
            last = Instant::now();
            for record in records {
                let (count, next) = counts.entry(record.partition.to_string()).or_insert((0, record.offset));
                *count += 1;
                *next = record.offset + 1;
            }
        }
    }
    let total: u64 = counts.values().map(|(count, _)| count).sum();
    println!("{total} records {counts:?} in {:?}", last.duration_since(started));
    Ok(())
}

fn admin(config: AdminConfig, topic: &str) -> Result<(), Failure> {
    let mut driver = Driver::new(Admin::new(config, 1), warn());
    let name = Str::copied(topic);
    let created = create_topics::RequestTopic {
        name: name.clone(),
        num_partitions: 3,
        replication_factor: 1,
        ..Default::default()
    };
    let request = create_topics::Request { topics: vec![created], ..Default::default() };
    println!("{:?}", call(&mut driver, To::Controller, request)?);
    driver.machine.describe_cluster(Interest::All);
    let described = driver.run_until(Duration::from_secs(10), |admin, _| admin.cluster().topics.get(&name).cloned());
    println!("{described:?}");
    let resource = describe_configs::Resource { resource_type: 2, resource_name: name.clone(), ..Default::default() };
    let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
    if let AnyResponse::DescribeConfigs(described) = call(&mut driver, To::Any, request)? {
        println!("{} configs", described.results.iter().map(|result| result.configs.len()).sum::<usize>());
    }
    println!("{:?}", call(&mut driver, To::Any, list_groups::Request::default())?);
    let request = delete_topics::Request { topic_names: vec![name], timeout_ms: 10_000 };
    println!("{:?}", call(&mut driver, To::Controller, request)?);
    Ok(())
}

fn call(driver: &mut Driver<Admin>, to: To, request: impl Into<AnyRequest>) -> Result<AnyResponse, Failure> {
    let now = driver.now();
    driver.machine.call(to, request, now);
    let result = driver.run_until(Duration::from_secs(70), |admin, _| admin.next_result()).ok_or("no result")?;
    Ok(result.1?)
}
