//! A Kafka client for tests that sends requests as they are given, one after the other.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use kafka_proto::messages::api_versions;
use kafka_proto::{ApiKey, Message, Request, frame};

/// One connection to a broker.
pub struct Requests {
    stream: TcpStream,
    correlation_id: i32,
}

impl Requests {
    /// Connects; an answer is waited for so long.
    pub fn connect(address: impl ToSocketAddrs, patience: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    /// The answer, or how there was none: `closed`, `no answer`, or what is wrong with it.
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, String> {
        self.correlation_id += 1;
        let client_id = Str::from_static("script");
        let bytes = frame::request_bytes(request, version, self.correlation_id, Some(&client_id));
        self.stream.write_all(&bytes.map_err(|error| error.to_string())?).map_err(|_| "closed")?;
        let reply = self.receive()?;
        let mut reader = Reader::new(&reply);
        let decoded = frame::ResponseHeader::decode(R::KEY.response_header_version(version), &mut reader)
            .and_then(|header| Ok((header, R::Response::decode(version, &mut reader)?)));
        let (header, response) = decoded.map_err(|error| error.to_string())?;
        if header.correlation_id != self.correlation_id || reader.remaining() != 0 {
            return Err(format!("{:?} v{version}: {header:?}, {} bytes behind it", R::KEY, reader.remaining()));
        }
        Ok(response)
    }

    /// Sends any bytes as a request's body, and a plain request behind it; `answered`, `closed`, or `nothing`.
    pub fn ask_bytes(&mut self, key: ApiKey, version: i16, body: &[u8]) -> Result<String, String> {
        let mut header = BytesMut::new();
        let fields = frame::RequestHeader {
            api_key: key.code(),
            api_version: version,
            correlation_id: 1,
            client_id: Some(Str::from_static("script")),
        };
        fields.encode(key.request_header_version(version), &mut header).map_err(|error| error.to_string())?;
        let probe = frame::request_bytes(&api_versions::Request::default(), 0, 2, None);
        let probe = probe.map_err(|error| error.to_string())?;
        let length = (header.len() + body.len()) as u32;
        let frame = [&length.to_be_bytes(), &header[..], body, &probe].concat();
        if self.stream.write_all(&frame).is_err() {
            return Ok("closed".to_owned());
        }
        let told = match self.receive() {
            Ok(reply) if reply.starts_with(&[0, 0, 0, 2]) => "nothing".to_owned(),
            Ok(_) => match self.receive() {
                Ok(_) => "answered".to_owned(),
                Err(error) => format!("answered, then {error}"),
            },
            Err(error) => error,
        };
        Ok(told)
    }

    /// A frame without its length.
    fn receive(&mut self) -> Result<Bytes, String> {
        let told = |error: std::io::Error| match error.kind() {
            ErrorKind::WouldBlock => "no answer".to_owned(),
            _ => "closed".to_owned(),
        };
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(told)?;
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut reply).map_err(told)?;
        Ok(Bytes::from(reply))
    }
}
