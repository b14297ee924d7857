//! The digest of the tree (`DigestCalculator`, version 2): a sum of CRC-32s, so that a change costs one node.

use crc32fast::Hasher;
use zk_proto::StatPersisted;

/// Nodes below this are left out: quota nodes differ between servers.
pub(crate) const UNDIGESTED_PREFIX: &str = "/zookeeper/";

/// CRC-32 of what comes before the metadata. The root's path is empty.
pub(crate) fn prefix_crc(path: &str, data: Option<&[u8]>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(if path == "/" { b"" } else { path.as_bytes() });
    hasher.update(data.unwrap_or_default());
    hasher.finalize()
}

/// A node's digest.
pub(crate) fn of_node(prefix_crc: u32, stat: &StatPersisted) -> u64 {
    let mut bytes = [0; 60];
    let mut rest = bytes.as_mut_slice();
    let mut put = |field: &[u8]| {
        let (head, tail) = std::mem::take(&mut rest).split_at_mut(field.len());
        head.copy_from_slice(field);
        rest = tail;
    };
    // The order is that of the original, which is not that of the record.
    for field in [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime] {
        put(&field.to_be_bytes());
    }
    for field in [stat.version, stat.cversion, stat.aversion] {
        put(&field.to_be_bytes());
    }
    put(&stat.ephemeral_owner.to_be_bytes());
    let mut hasher = Hasher::new_with_initial(prefix_crc);
    hasher.update(&bytes);
    u64::from(hasher.finalize())
}
