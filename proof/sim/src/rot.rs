//! Bit rot: while a server is off, a byte of one of its files becomes another one. It has to start with all that it had, or not at all; one
//! that does not start gets an empty disk when the others do without it.
//!
//! One disk rots in a run, and only where the other servers can decide without its server.

use std::path::{Path, PathBuf};

use base::{Disk, MemDisk, Random, Slow};
use zk_node::Effects;
use zk_store::{FileName, LogReader};

use crate::invariants::Verdict;
use crate::settings::{LOG_DIR, ServerId, one_of};
use crate::world::World;

const MS: u64 = 1000;

/// What is wrong with a disk.
#[derive(Debug)]
pub(crate) struct Rot {
    pub(crate) server: ServerId,
    /// The file in which a byte has changed; none has yet, or the file is gone.
    pub(crate) path: Option<PathBuf>,
    /// The last transaction of its log, if all of it was durable before.
    last_zxid: Option<i64>,
    /// The server has refused to start.
    refused: bool,
}

impl World {
    /// A server is stopped, one way or the other; its disk rots before it starts again.
    pub(crate) fn let_rot(&mut self, id: ServerId) {
        let draw = self.machine(id).draw;
        let may_rot = self.rot.is_none() && !draw.reconfigures && !draw.shape.grouped && self.machine(id).is_up();
        if !may_rot {
            return self.crash(id, false);
        }
        self.rot = Some(Rot { server: id, path: None, last_zxid: None, refused: false });
        match self.chance(2) {
            true => self.stop(id),
            false => self.crash(id, false),
        }
    }

    /// Whether a file of the server has changed.
    pub(crate) fn is_rotten(&self, id: ServerId) -> bool {
        self.rot.as_ref().is_some_and(|rot| rot.server == id && rot.path.is_some())
    }

    /// Whether the server has found that, and does not start.
    pub(crate) fn refuses(&self, id: ServerId) -> bool {
        self.rot.as_ref().is_some_and(|rot| rot.server == id && rot.refused)
    }

    /// A server is about to start: if its disk is to rot, it does now.
    pub(crate) fn rots(&mut self, id: ServerId) -> Verdict {
        if self.rot.as_ref().is_none_or(|rot| rot.server != id || rot.path.is_some()) {
            return Ok(());
        }
        let log = self.read_log(id)?;
        let machine = self.machine(id);
        let (disk, is_whole) = (machine.disk.clone(), machine.ended_well);
        let mut random = Random::from_seed(self.random.next_u64());
        let Some(place) = a_place(&disk, &mut random) else { return Ok(()) };
        let mask = 1 + random.below(255) as u8;
        disk.rot(&place.0, place.1, mask).map_err(|error| error.to_string())?;
        self.noted("rot", || format!("byte {} of {} of server {id} rots", place.1, place.0.display()));
        if let Some(rot) = &mut self.rot {
            rot.path = Some(place.0);
            rot.last_zxid = log.keys().next_back().copied().filter(|_| is_whole);
        }
        Ok(())
    }

    /// What became of a start: nothing, if the server's disk rots and it says so.
    pub(crate) fn started_on_rot(
        &mut self,
        id: ServerId,
        started: Result<Effects, String>,
    ) -> Result<Option<Effects>, String> {
        if !self.is_rotten(id) {
            return started.map(Some);
        }
        let wanted = self.rot.as_mut().and_then(|rot| rot.last_zxid.take());
        match started {
            Ok(effects) => {
                let last_zxid = self.read_log(id)?.keys().next_back().copied();
                if wanted.is_some_and(|wanted| last_zxid.is_none_or(|last| last < wanted)) {
                    return Err(format!("server {id} starts with {last_zxid:x?} where its log held {wanted:x?}"));
                }
                self.onlooker.count("starts on a damaged disk");
                Ok(Some(effects))
            }
            Err(error) => {
                let says_so = ["is damaged at byte", "Not able to find valid snapshots"];
                if !says_so.iter().any(|text| error.contains(text)) {
                    return Err(error);
                }
                self.noted("refuses a damaged disk", || error);
                if let Some(rot) = &mut self.rot {
                    rot.refused = true;
                }
                Ok(None)
            }
        }
    }

    /// A server that has refused to start gets an empty disk; whether there was one. All others have their part in the ensemble.
    pub(crate) fn gets_new_disk(&mut self) -> bool {
        let Some(Rot { server, .. }) = self.rot.take_if(|rot| rot.refused) else { return false };
        self.noted("new disk", || format!("server {server} gets an empty disk"));
        let (dir, slow) = (Path::new(LOG_DIR), Slow::allowed());
        let disk = &self.machine(server).disk;
        let emptied = disk.remove_dir_all(dir, &slow).and_then(|()| disk.sync_dir(Path::new("/data"), &slow));
        emptied.expect("its disk works");
        self.start_later(server, MS);
        true
    }
}

/// A byte of a log or a snapshot; of logs, most often one of the last record.
fn a_place(disk: &MemDisk, random: &mut Random) -> Option<(PathBuf, u64)> {
    let entries = disk.list(Path::new(LOG_DIR)).ok()?;
    let files: Vec<_> = entries.iter().filter_map(|entry| Some((entry, FileName::parse(&entry.name)?))).collect();
    // Logs and snapshots are drawn alike, and the newest of them.
    let wants_log = random.below(2) == 0;
    let of_kind = files.iter().filter(|(_, name)| matches!(name, FileName::Log(_)) == wants_log);
    let newest: Vec<_> = of_kind.rev().take(3).collect();
    let (entry, name) = newest.get(random.below(newest.len().max(1) as u64) as usize)?;
    let path = Path::new(LOG_DIR).join(&entry.name);
    let range = match name {
        FileName::Log(_) => last_record(disk, &path).filter(|_| one_of(random, [true, true, false])),
        FileName::Snapshot(..) => None,
    };
    let (from, to) = range.unwrap_or((0, entry.metadata.len));
    (to > from).then(|| (path, from + random.below(to - from)))
}

/// Where it starts and ends.
fn last_record(disk: &MemDisk, path: &Path) -> Option<(u64, u64)> {
    let mut reader = LogReader::open(disk, path).ok()?;
    let mut start = None;
    loop {
        match reader.read_next().ok()? {
            Ok(record) => start = Some(record.position),
            Err(end) => return Some((start?, end.position())),
        }
    }
}
