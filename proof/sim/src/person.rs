//! The one state in which nobody can lead though everything works, and what a person does then (`docs/operations/reconfiguration.md`, "When
//! nobody leads"). Any other ensemble without a leader breaks the rule of progress; and after the person has acted all rules hold as before.

use std::collections::BTreeSet;
use std::path::Path;

use base::{Disk, MemDisk, Slow};
use config::zookeeper::Ensemble;
use zk_store::Epoch;

use crate::settings::{self, LOG_DIR, NEXT_LIST, ServerId};
use crate::tree;
use crate::world::World;

/// From whose disk to whose, and the list that is proposed.
struct Gift {
    from: ServerId,
    to: ServerId,
    next: Ensemble,
}

impl World {
    /// Whether nobody could lead, and a person has acted.
    pub(crate) fn person_acts(&mut self) -> Result<bool, String> {
        let Some(gift) = self.who_is_ahead()? else { return Ok(false) };
        let Gift { from, to, next } = gift;
        self.noted("a person acts", || format!("server {to} is given what server {from} has"));
        let ids: Vec<ServerId> = self.machines.keys().copied().collect();
        for id in &ids {
            self.process_ends(*id, false);
        }
        let given = self.machine(from).disk.clone();
        give(&given, &next, &self.machine(to).disk)
            .map_err(|error| format!("server {to} can't be given anything: {error}"))?;
        for id in ids {
            self.start_later(id, 1);
        }
        Ok(true)
    }

    /// A list is proposed, and has no quorum without servers that the list in force gives no vote, and that are ahead of all to whom it gives one.
    fn who_is_ahead(&self) -> Result<Option<Gift>, String> {
        let disks = || self.machines.values().map(|machine| &machine.disk);
        let Some((version, current)) = disks().filter_map(settings::list).max() else { return Ok(None) };
        let next = disks().filter_map(settings::next_list).max_by_key(|next| next.version);
        let Some(next) = next.filter(|next| next.version > version) else { return Ok(None) };
        let current = Ensemble::from_text(&current, true, false).map_err(|error| error.to_string())?;
        if current.is_hierarchical() || next.is_hierarchical() {
            return Ok(None);
        }
        let mut has = Vec::new();
        for machine in self.machines.values() {
            let epoch =
                Epoch::Current.read(&machine.disk, Path::new(LOG_DIR), false).map_err(|error| error.to_string())?;
            has.push((epoch, tree::recovered(machine)?.last_zxid(), machine.id));
        }
        let may_lead: BTreeSet<ServerId> = current.voters().map(|server| server.id.unsigned_abs()).collect();
        let best = has.iter().filter(|(.., id)| may_lead.contains(id)).max();
        let (Some(best), Some(most)) = (best, has.iter().max()) else { return Ok(None) };
        let is_ahead = |id: ServerId| has.iter().any(|(e, z, other)| *other == id && (*e, *z) > (best.0, best.1));
        let others = next.voters().filter(|server| !is_ahead(server.id.unsigned_abs())).count();
        let cannot = is_ahead(most.2) && others <= next.voters().count() / 2;
        Ok(cannot.then_some(Gift { from: most.2, to: best.2, next }))
    }
}

/// The data of one server, and the proposed list; the promises of both are kept.
fn give(from: &MemDisk, next: &Ensemble, to: &MemDisk) -> Result<(), String> {
    let (dir, slow) = (Path::new(LOG_DIR), Slow::allowed());
    let text = |error: std::io::Error| error.to_string();
    let accepted = |disk| Epoch::Accepted.read(disk, dir, false).map_err(|error| error.to_string());
    let promised = accepted(from)?.max(accepted(to)?).unwrap_or_default();
    to.remove_dir_all(dir, &slow).and_then(|()| to.create_dir_all(dir)).map_err(text)?;
    for entry in from.list(dir).map_err(text)? {
        let path = dir.join(&entry.name);
        let bytes = from.read(&path, u64::MAX).map_err(text)?;
        to.replace(&path, &bytes, &slow).map_err(text)?;
    }
    to.replace(Path::new(NEXT_LIST), next.file_text(true).as_bytes(), &slow).map_err(text)?;
    Epoch::Accepted.write(to, dir, promised, &slow).map_err(|error| error.to_string())
}
