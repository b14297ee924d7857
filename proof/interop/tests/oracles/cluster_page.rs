//! `docs/operations/cluster.md`, run as it is written: its commands in their order on machines that are namespaces, and what it says
//! they print. A block ` ```sh each` is run on machines 1 to 3, ` ```sh N` on machine N; ` ```text` behind it is its output, with `*` for
//! what differs from run to run. Lines are compared in any order, as two streams end in one. Needs root.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};

use interop::{binary, run};

const PAGE: &str = include_str!("../../../../docs/operations/cluster.md");

const MACHINES: RangeInclusive<u32> = 1..=4;

/// What `each` means.
const EACH: RangeInclusive<u32> = 1..=3;

#[test]
fn the_page_does_what_it_says() {
    let network = Space::start(Command::new("unshare").args(["--net", "sh", "-c"]), "ip link set lo up && echo ready");
    let machines: Vec<Space> = MACHINES.map(|_| Space::machine(&network)).collect();
    let mut modes = Vec::new();
    for step in steps(PAGE) {
        let numbers = step.machine.map_or(EACH, |number| number..=number);
        for number in numbers {
            let said = machines[number as usize - 1].run(number, &step.script);
            println!("cluster.md:{} on machine {number}:\n{}", step.line, said.text);
            modes.extend(said.text.lines().filter_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned));
            match &step.output {
                Some(expected) => compare(expected, &said.text).unwrap_or_else(|difference| {
                    panic!("cluster.md:{} on machine {number}: {difference}; it said:\n{}", step.line, said.text)
                }),
                None => assert_eq!(said.code, 0, "cluster.md:{} on machine {number}:\n{}", step.line, said.text),
            }
        }
    }
    modes.sort();
    assert_eq!(modes, ["follower", "follower", "leader"]);
}

/// A block of commands and, if the page has it, what they print.
struct Step {
    /// In the page, counted from 1.
    line: usize,
    /// One machine; none for each.
    machine: Option<u32>,
    script: String,
    output: Option<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text: String = block.map(|line| format!("{line}\n")).collect();
        match kind.split_once(' ') {
            Some(("sh", machine)) => steps.push(Step {
                line: index + 1,
                machine: (machine != "each").then(|| machine.parse().unwrap()),
                script: text,
                output: None,
            }),
            _ if kind == "text" => steps.last_mut().unwrap().output = Some(text),
            _ => panic!("cluster.md:{}: a block of no known kind", index + 1),
        }
    }
    steps
}

/// What stands in one text and not in the other.
fn compare(expected: &str, said: &str) -> Result<(), String> {
    // What a client says of brokers that it can't reach depends on whom it asks first.
    let mut left: Vec<&str> =
        said.lines().filter(|line| !line.ends_with("(org.apache.kafka.clients.NetworkClient)")).collect();
    for line in expected.lines() {
        let found = left.iter().position(|candidate| matches(line, candidate));
        left.remove(found.ok_or_else(|| format!("no line {line:?}"))?);
    }
    if left.is_empty() { Ok(()) } else { Err(format!("the page has no {left:?}")) }
}

/// Whether a line has all the pieces between the asterisks, in their order, and nothing else.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == line };
    let Some(mut line) = line.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
    for piece in middle.iter().flat_map(|middle| middle.split('*')) {
        let Some((_, behind)) = line.split_once(piece) else { return false };
        line = behind;
    }
    line.ends_with(last)
}

#[test]
fn the_page_is_read_and_compared_line_by_line() {
    let page = "a\n```sh each\none\n```\n```text\n1*\n```\n```sh 2\ntwo\nthree\n```\n";
    let steps: Vec<_> =
        steps(page).into_iter().map(|step| (step.line, step.machine, step.script, step.output)).collect();
    let first = (2, None, "one\n".to_owned(), Some("1*\n".to_owned()));
    assert_eq!(steps, [first, (8, Some(2), "two\nthree\n".to_owned(), None)]);
    assert_eq!(compare("b\na*c*e\n", "abcde\nb\n"), Ok(()));
    assert!(
        compare("b\n", "b\nb\n").is_err() && compare("b\nb\n", "b\n").is_err() && compare("a*c\n", "ab\n").is_err()
    );
}

/// A process that keeps namespaces; they end with it.
struct Space {
    keeper: Child,
}

struct Said {
    code: i32,
    text: String,
}

impl Space {
    /// `script` says `ready` when all is made.
    fn start(command: &mut Command, script: &str) -> Self {
        // As the first of its processes it takes in those whose parents have ended.
        let script = format!("{script} && while sleep 0.1; do :; done");
        let mut keeper = command.arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "namespaces need root");
        Self { keeper }
    }

    /// A machine in this network.
    fn machine(network: &Self) -> Self {
        let mut command = Command::new("nsenter");
        command.args(["--target", &network.keeper.id().to_string(), "--net", "unshare", "--mount", "--pid"]);
        command.args(["--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
        let folders =
            "mkdir -p /etc/init.d && mount -t tmpfs opt /opt && mount -t tmpfs init /etc/init.d && echo ready";
        Self::start(&mut command, folders)
    }

    /// The process that the machine's own processes know as the first.
    fn first_process(&self) -> String {
        let id = self.keeper.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap().trim().to_owned()
    }

    fn run(&self, number: u32, script: &str) -> Said {
        // A file, so that what a machine's processes are called says nothing of the script.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first_process(), "--net", "--mount", "--pid", "sh"]).arg(file.path());
        command.env("N", number.to_string()).env("ADDRESS", format!("127.0.0.{}", number + 1));
        let binary = binary();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", binary.parent().unwrap().display()));
        for variable in ["LOG_DIR", "ZOO_LOG_DIR", "ZOOCFG", "ZOOCFGDIR", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "JMX_PORT"]
        {
            command.env_remove(variable);
        }
        let finished = run(&mut command, b"").unwrap();
        Said { code: finished.code, text: finished.stdout + &finished.stderr }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
