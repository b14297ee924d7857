//! `org.apache.zookeeper.client.FourLetterWordMain` and `VersionInfoMain`: what `zkServer.sh status` and `version` ask.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::properties::zookeeper_tls;

const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is some kilobytes; a stranger on that port may send without end.
const ANSWER_MAX: u64 = 16 << 20;

/// `FourLetterWordMain HOST PORT WORD [SECURE]`: prints the answer and an empty line behind it. Exit code 1 on failure.
#[must_use]
pub fn run(arguments: &[String]) -> i32 {
    let (host, port, word, secure) = match arguments {
        [host, port, word] => (host, port, word, false),
        [host, port, word, secure] => (host, port, word, secure.eq_ignore_ascii_case("true")),
        _ => {
            println!("Usage: FourLetterWordMain <host> <port> <cmd> <secure(optional)>");
            return 0;
        }
    };
    let answer = port
        .parse()
        .map_err(|_| io::Error::other(format!("For input string: \"{port}\"")))
        .and_then(|port: u16| if secure { ask_secure(host, port, word) } else { ask(host, port, word) });
    match answer {
        Ok(text) => {
            println!("{text}");
            0
        }
        Err(error) => {
            eprintln!("Exception in thread \"main\" {error}");
            1
        }
    }
}

/// Sends a word and reads the answer to its end, each line ended by a newline.
///
/// # Errors
/// When the name is unknown, nobody listens, or five seconds pass in silence.
pub fn ask(host: &str, port: u16, word: &str) -> io::Result<String> {
    let mut last = io::Error::other(format!("{host}: unknown host"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return converse(stream, word),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The same by TLS, with the stores that the system properties name.
fn ask_secure(host: &str, port: u16, word: &str) -> io::Result<String> {
    let secure = [("zookeeper.client.secure", "true")].into_iter().collect();
    let tls = zookeeper_tls(&secure).map_err(io::Error::other)?;
    let tls = tls.ok_or_else(|| io::Error::other("TLS was asked for"))?;
    let stream = TcpStream::connect((host, port))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut stream = tls.connect(stream, host)?;
    stream.socket().set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(lines(&answer))
}

fn converse(mut stream: TcpStream, word: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(word.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(lines(&answer))
}

fn lines(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).lines().map(|line| format!("{line}\n")).collect()
}

/// `VersionInfoMain`: the version that this server speaks for.
#[must_use]
pub fn version() -> i32 {
    println!("Apache ZooKeeper, version 3.6.3 04/08/2021 16:35 GMT");
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_asked_and_its_answer_read_to_the_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut word = String::new();
            stream.read_to_string(&mut word).unwrap();
            stream.write_all(b"Mode: standalone\r\nNode count: 5").unwrap();
            word
        });
        assert_eq!(ask("127.0.0.1", port, "srvr").unwrap(), "Mode: standalone\nNode count: 5\n");
        assert_eq!(server.join().unwrap(), "srvr");
        assert!(ask("127.0.0.1", port, "srvr").is_err());
    }
}
