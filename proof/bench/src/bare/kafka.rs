//! The bare loop of a broker: produce is CRC-32C, one write, a fixed answer; fetch is one `sendfile`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base::Str;
use kafka_proto::messages::{fetch, produce};
use kafka_proto::{ApiKey, Message as _};

use super::{Channel, Protocol, Range};
use crate::requests::kafka::{FETCH_BYTES, FETCH_VERSION, PRODUCE_VERSION, RECORDS_BEHIND_FRAME_START, TOPIC};

/// From here on the batch's CRC counts: what follows the CRC itself.
const CRC_FROM: usize = 21;

pub(super) struct Kafka {
    produce_answer: Vec<u8>,
    /// All but the records; their length is already in it.
    fetch_answer: Vec<u8>,
    fetched: PathBuf,
}

impl Kafka {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let fetched = folder.join("fetched");
        std::fs::write(&fetched, vec![7; FETCH_BYTES])?;
        Ok(Self { produce_answer: produce_answer()?, fetch_answer: fetch_answer()?, fetched })
    }
}

impl Protocol for Kafka {
    fn serve(&mut self, frame: &[u8], connection: &mut Channel) -> Result<()> {
        let key = i16::from_be_bytes(*frame.first_chunk().context("a frame without a key")?);
        match ApiKey::from_code(key) {
            Some(ApiKey::Produce) => {
                let records = frame.get(RECORDS_BEHIND_FRAME_START..).context("a produce without records")?;
                let crc = records.get(CRC_FROM - 4..).and_then(|rest| rest.first_chunk()).context("a batch is cut")?;
                let counted = crc32c::crc32c(records.get(CRC_FROM..).unwrap_or_default());
                if counted != u32::from_be_bytes(*crc) {
                    bail!("a batch is damaged");
                }
                connection.file.as_mut().context("no file")?.write_all(records)?;
                connection.output.extend_from_slice(&self.produce_answer);
            }
            Some(ApiKey::Fetch) => {
                connection.output.extend_from_slice(&self.fetch_answer);
                connection.range = Some(Range { file: File::open(&self.fetched)?, sent: 0, bytes: FETCH_BYTES as u64 });
            }
            _ => bail!("the bare loop does not know API key {key}"),
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        // As in Kafka, an answer does not wait for the disk.
        Ok(())
    }

    /// A partition for each connection; the file goes with it.
    fn open(&self, folder: &Path) -> Result<Option<File>> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Some(file))
    }
}

fn produce_answer() -> Result<Vec<u8>> {
    let partition = produce::ResponsePartition { log_start_offset: 0, ..Default::default() };
    let topic = produce::ResponseTopic { name: Str::from(TOPIC), partitions: vec![partition] };
    let response = produce::Response { topics: vec![topic], throttle_time_ms: 0 };
    let mut body = bytes::BytesMut::new();
    response.encode(PRODUCE_VERSION, &mut body)?;
    Ok(framed(&body, 0))
}

fn fetch_answer() -> Result<Vec<u8>> {
    let partition = fetch::ResponsePartition { high_watermark: 1 << 20, ..Default::default() };
    let topic = fetch::ResponseTopic { topic: Str::from(TOPIC), partitions: vec![partition] };
    let response = fetch::Response { topics: vec![topic], ..Default::default() };
    let mut body = bytes::BytesMut::new();
    response.encode(FETCH_VERSION, &mut body)?;
    // Null records: their length is the last field.
    body.truncate(body.len() - 4);
    body.extend_from_slice(&u32::try_from(FETCH_BYTES)?.to_be_bytes());
    Ok(framed(&body, FETCH_BYTES))
}

/// Length, correlation id (always that of the requests, 1), body.
fn framed(body: &[u8], bytes_behind: usize) -> Vec<u8> {
    let length = u32::try_from(4 + body.len() + bytes_behind).expect("an answer is below 4 GiB");
    [&length.to_be_bytes()[..], &1_i32.to_be_bytes(), body].concat()
}
