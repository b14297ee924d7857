//! The bare loop of a ZooKeeper server: a write is Adler-32, one write to the log, one `fdatasync` for all requests of
//! a round, a fixed answer; a read is answered from memory. As an ensemble it sends what it logs to followers, and answers
//! when one of them has it too.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use zk_proto::connect::{ConnectResponse, ReplyHeader};
use zk_proto::responses::GetDataResponse;
use zk_proto::{Jute, OpCode, Stat};

use super::followers::Followers;
use super::{Channel, Protocol};
use crate::requests::zookeeper::DATA_BYTES;

/// The log grows by so much at a time, as the servers' does (`preAllocSize`), so that a sync changes no size.
pub(super) const PREALLOCATED_BYTES: u64 = 64 << 20;
/// Room that is made anew when less than this is left.
const ROOM_MIN: u64 = 4096;

pub(super) struct ZooKeeper {
    log: File,
    written: u64,
    allocated: u64,
    /// What was written in this round.
    batch: Vec<u8>,
    followers: Followers,
    connected: Vec<u8>,
    data: Vec<u8>,
    stat: Vec<u8>,
}

impl ZooKeeper {
    pub(super) fn new(folder: &Path, followers: Followers) -> Result<Self> {
        let connected = ConnectResponse {
            protocol_version: 0,
            timeout_ms: 30_000,
            session_id: 1,
            password: Bytes::from_static(&[0; 16]),
            read_only: Some(false),
        };
        let stat = Stat::default();
        let data = GetDataResponse { data: Some(Bytes::from(vec![b'x'; DATA_BYTES])), stat };
        Ok(Self {
            log: File::create(folder.join("log"))?,
            written: 0,
            allocated: 0,
            batch: Vec::new(),
            followers,
            connected: connected.to_bytes().to_vec(),
            data: data.to_bytes().to_vec(),
            stat: stat.to_bytes().to_vec(),
        })
    }

    fn log(&mut self, frame: &[u8]) -> Result<()> {
        let entry = [&simd_adler32::adler32(&frame).to_be_bytes()[..], frame].concat();
        if self.written + entry.len() as u64 + ROOM_MIN > self.allocated {
            self.allocated += PREALLOCATED_BYTES;
            self.log.set_len(self.allocated)?;
        }
        self.log.write_all_at(&entry, self.written)?;
        self.written += entry.len() as u64;
        self.batch.extend_from_slice(&entry);
        Ok(())
    }
}

impl Protocol for ZooKeeper {
    fn serve(&mut self, frame: &[u8], connection: &mut Channel) -> Result<()> {
        if connection.frames == 0 {
            put_frame(&mut connection.output, &[&self.connected]);
            return Ok(());
        }
        let (xid, rest) = frame.split_first_chunk().context("a frame without a header")?;
        let (op, body) = rest.split_first_chunk().context("a frame without an op")?;
        let mut header = BytesMut::new();
        ReplyHeader { xid: i32::from_be_bytes(*xid), zxid: 1, err: 0 }.encode(&mut header);
        match OpCode::from_code(i32::from_be_bytes(*op)) {
            Some(OpCode::Create) => {
                self.log(frame)?;
                let path_bytes = body.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
                let path = body.get(..4 + path_bytes).context("a path is cut")?;
                put_frame(&mut connection.output, &[&header, path]);
            }
            Some(OpCode::SetData) => {
                self.log(frame)?;
                put_frame(&mut connection.output, &[&header, &self.stat]);
            }
            Some(OpCode::GetData) => put_frame(&mut connection.output, &[&header, &self.data]),
            other => bail!("the bare loop does not know {other:?}"),
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.followers.propose(&self.batch)?;
        self.batch.clear();
        self.log.sync_data()?;
        self.followers.commit()
    }

    fn open(&self, _folder: &Path) -> Result<Option<File>> {
        Ok(None)
    }
}

fn put_frame(output: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    output.extend_from_slice(&u32::try_from(length).expect("an answer is below 4 GiB").to_be_bytes());
    for part in parts {
        output.extend_from_slice(part);
    }
}
