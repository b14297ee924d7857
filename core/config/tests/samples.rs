//! Files of the workspace that the registry must agree with: the rendered page and the samples.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::io;

use config::{BrokerConfig, Level, Properties, ZooKeeperSettings};

#[path = "../examples/render/compatibility.rs"]
mod compatibility;

#[test]
fn the_page_is_up_to_date() {
    let page = include_str!("../../../docs/compatibility.md");
    assert!(page == compatibility::page(), "docs/compatibility.md is out of date: run `cargo xtask fix`");
}

/// Lines that set something, and those that would if their `#` were taken away.
fn lines(sample: &str) -> String {
    let settable =
        |line: &&str| line.split_once('=').is_some_and(|(key, _)| !key.trim_start_matches('#').contains(' '));
    sample.lines().filter(settable).map(|line| format!("{}\n", line.trim_start_matches('#'))).collect()
}

fn load_zookeeper(text: &str) -> Vec<config::Notice> {
    let mut read = |path: &str| match path {
        "/zoo.cfg" => Ok(text.as_bytes().to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    ZooKeeperSettings::load("/zoo.cfg", &Properties::new(), &mut read).unwrap().notices
}

#[test]
fn the_sample_of_zookeeper_starts_a_server() {
    let sample = include_str!("../../../config/zoo.cfg");
    for text in [sample.to_owned(), lines(sample)] {
        let warnings: Vec<_> = load_zookeeper(&text).into_iter().filter(|notice| notice.level > Level::Info).collect();
        assert!(warnings.iter().all(|notice| notice.text.contains("standalone mode")), "{warnings:?}");
    }
    assert!(lines(sample).lines().count() > 10);
}

#[test]
fn the_sample_of_a_broker_starts_a_broker() {
    let sample = include_str!("../../../config/server.properties");
    for text in [sample.to_owned(), lines(sample)] {
        let (_, notices) = BrokerConfig::new(Properties::parse(text.as_bytes()).unwrap()).unwrap();
        assert!(notices.is_empty(), "{notices:?}");
    }
    assert!(lines(sample).lines().count() > 20);
}
