//! Producer ids, handed out from blocks of 1,000 that brokers take from ZooKeeper (upstream: `ProducerIdManager`).

use std::sync::Arc;

use bytes::Bytes;
use kafka_control::{CreateMode, Failure, Operation, Reply, znode};
use parking_lot::Mutex;

use crate::broker::Broker;

/// Ids in a block.
const BLOCK_SIZE: i64 = 1000;

/// Called with an id, or nothing if ZooKeeper does not answer.
type Waiting = Box<dyn FnOnce(Option<i64>) + Send>;

/// The block that this broker hands out, and who waits for the next.
#[derive(Default)]
pub(crate) struct ProducerIds(Mutex<Block>);

#[derive(Default)]
struct Block {
    next: i64,
    end: i64,
    waiting: Vec<Waiting>,
}

impl Broker {
    /// Hands out an id that no producer of the cluster has had.
    pub(crate) fn with_producer_id(self: &Arc<Self>, then: impl FnOnce(Option<i64>) + Send + 'static) {
        let mut block = self.producer_ids.0.lock();
        if block.next < block.end {
            let id = block.next;
            block.next += 1;
            drop(block);
            return then(Some(id));
        }
        block.waiting.push(Box::new(then));
        let is_first = block.waiting.len() == 1;
        drop(block);
        if is_first {
            self.take_producer_id_block();
        }
    }

    /// Takes a first block at the start, as the original does, so that the first producer need not wait for it.
    pub(crate) fn take_first_producer_id_block(self: &Arc<Self>) {
        if self.producer_ids.0.lock().end == 0 {
            self.take_producer_id_block();
        }
    }

    /// Reads which block was taken last and takes the next, by compare-and-set; whoever is beaten tries again.
    fn take_producer_id_block(self: &Arc<Self>) {
        let path = znode::PRODUCER_ID_BLOCK.to_owned();
        self.ask_zookeeper(
            vec![Operation::GetData { path: path.clone(), watch: false }],
            move |broker, outcomes, _| {
                let (start, version) = match outcomes.into_iter().next() {
                    Some(Ok(Reply::Data(content, stat))) => (block_after(content.as_deref()), Some(stat.version)),
                    Some(Err(Failure::NoNode)) => (Some(0), None),
                    _ => (None, None),
                };
                let Some(start) = start.filter(|start| *start <= i64::MAX - BLOCK_SIZE) else {
                    return broker.give_producer_ids(None);
                };
                let data = Some(block_content(broker.id(), start));
                let write = match version {
                    Some(version) => Operation::SetData { path, data, version },
                    None => Operation::Create { path, data, mode: CreateMode::Persistent },
                };
                broker.ask_zookeeper(vec![write], move |broker, outcomes, _| match outcomes.into_iter().next() {
                    Some(Ok(_)) => broker.give_producer_ids(Some(start)),
                    Some(Err(Failure::BadVersion | Failure::NodeExists)) => broker.take_producer_id_block(),
                    _ => broker.give_producer_ids(None),
                });
            },
        );
    }

    fn give_producer_ids(self: &Arc<Self>, start: Option<i64>) {
        let mut block = self.producer_ids.0.lock();
        if let Some(start) = start {
            (block.next, block.end) = (start, start + BLOCK_SIZE);
        }
        let waiting = std::mem::take(&mut block.waiting);
        drop(block);
        for then in waiting {
            match start {
                Some(_) => self.with_producer_id(then),
                None => then(None),
            }
        }
    }
}

/// First id of the block behind the one that the znode names; an empty znode names none.
fn block_after(content: Option<&[u8]>) -> Option<i64> {
    let Some(content) = content.filter(|content| !content.is_empty()) else { return Some(0) };
    let block: serde_json::Value = serde_json::from_slice(content).ok()?;
    let end: i64 = block.get("block_end")?.as_str()?.parse().ok()?;
    end.checked_add(1)
}

fn block_content(broker: i32, start: i64) -> Bytes {
    let end = start + BLOCK_SIZE - 1;
    Bytes::from(format!(r#"{{"version":1,"broker":{broker},"block_start":"{start}","block_end":"{end}"}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other() {
        assert_eq!(block_after(None), Some(0));
        let first = block_content(3, 0);
        assert_eq!(first, r#"{"version":1,"broker":3,"block_start":"0","block_end":"999"}"#);
        assert_eq!(block_after(Some(&first)), Some(1000));
        assert_eq!(block_after(Some(b"nonsense")), None);
    }
}
