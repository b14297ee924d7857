//! The parts of the benchmark; each gives its chapter of the report.

pub(crate) mod cluster;
pub(crate) mod ensemble;
pub(crate) mod kafka;
pub(crate) mod latency;
pub(crate) mod startup;
pub(crate) mod tools;
pub(crate) mod zookeeper;

use std::path::PathBuf;

use anyhow::Result;

use crate::options::Options;
use crate::servers::{Kind, Programs};
use crate::table;

/// What every section needs.
pub(crate) struct Setting {
    pub(crate) options: Options,
    pub(crate) programs: Programs,
    pub(crate) folder: tempfile::TempDir,
}

impl Setting {
    /// A folder of a server's own.
    pub(crate) fn folder(&self, section: &str, kind: Kind) -> PathBuf {
        self.folder.path().join(format!("{section}-{}", kind.name()))
    }

    /// Runs a part for each server in turn, its data removed behind it.
    fn for_each_kind(&self, section: &str, mut run: impl FnMut(Kind, PathBuf) -> Result<()>) -> Result<()> {
        for kind in &self.options.kinds {
            let folder = self.folder(section, *kind);
            run(*kind, folder.clone())?;
            match std::fs::remove_dir_all(&folder) {
                // A part may have nothing to do with a server.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Numbers of either kind, beside one another.
#[derive(Default)]
struct Figures(Vec<Figure>);

struct Figure {
    name: String,
    values: Vec<(Kind, f64)>,
}

impl Figures {
    fn add(&mut self, name: &str, kind: Kind, value: f64) {
        eprintln!("{:<8} {name}: {}", kind.name(), table::three_digits(value));
        match self.0.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push((kind, value)),
            None => self.0.push(Figure { name: name.to_owned(), values: vec![(kind, value)] }),
        }
    }

    fn render(&self) -> String {
        let mut text = table::table(&["figure", "jackdaw", "jvm", "jackdaw : jvm"]);
        for Figure { name, values } in &self.0 {
            let of = |wanted| values.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
            let [jackdaw, jvm] = [Kind::Jackdaw, Kind::Jvm].map(of);
            let text_of = |value: Option<f64>| value.map_or_else(table::dash, table::three_digits);
            table::push(&mut text, &[name.clone(), text_of(jackdaw), text_of(jvm), table::ratio(jackdaw, jvm)]);
        }
        text
    }
}

/// Resident memory by server.
#[derive(Default)]
struct Memory(Vec<(&'static str, Kind, u64)>);

impl Memory {
    fn add(&mut self, when: &'static str, kind: Kind, bytes: u64) {
        eprintln!("{:<8} memory {when}: {} MiB", kind.name(), table::mebibytes(bytes));
        self.0.push((when, kind, bytes));
    }

    fn render(&self) -> String {
        let mut text = table::table(&["resident memory, MiB", "jackdaw", "jvm", "bare", "jackdaw : jvm"]);
        let mut whens: Vec<&str> = self.0.iter().map(|(when, _, _)| *when).collect();
        whens.sort_unstable();
        whens.dedup();
        for when in whens {
            let of = |wanted| {
                let mut found = self.0.iter().filter(|(name, kind, _)| *name == when && *kind == wanted);
                found.next().map(|(_, _, bytes)| *bytes)
            };
            let cells = Kind::ALL.map(|kind| of(kind).map_or_else(table::dash, table::mebibytes));
            let part =
                table::ratio(of(Kind::Jackdaw).map(|bytes| bytes as f64), of(Kind::Jvm).map(|bytes| bytes as f64));
            table::push(&mut text, &[&[when.to_owned()][..], &cells, &[part]].concat());
        }
        text
    }
}
