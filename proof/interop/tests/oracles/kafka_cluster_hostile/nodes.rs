//! Znodes with what nobody should write.

use base::Str;
use interop::Cluster;
use kafka_proto::messages::describe_configs;

use super::{Session, TOPIC};

pub(super) fn script(session: &mut Session) {
    deletions(session);
    topics(session);
    notifications(session);
    configs(session);
    brokers(session);
}

/// What becomes of a node that the controller is to take away when it has done what it says.
pub(super) fn is_taken(session: &mut Session, what: &str, path: &str, data: &str) {
    session.cluster.znodes().unwrap().create(path, data).unwrap();
    session.serves(data);
    let mut znodes = session.cluster.znodes().unwrap();
    let left = znodes.get(path).unwrap().map(|(data, _)| data);
    if left.is_some() {
        znodes.delete(path).unwrap();
    }
    session.note(what, left);
    session.serves("a node that was taken away");
}

fn deletions(session: &mut Session) {
    let path = "/admin/delete_topics/no-such-topic";
    is_taken(session, path, path, "");
}

/// Topics whose assignment is none: what brokers tell of them, and what is written of them.
fn topics(session: &mut Session) {
    for (index, data) in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"version":1}"#,
        r#"{"version":1,"partitions":{}}"#,
        r#"{"version":1,"partitions":{"0":[9]}}"#,
        r#"{"version":1,"partitions":{"0":[]}}"#,
        r#"{"version":1,"partitions":{"0":[1,1]}}"#,
        r#"{"version":1,"partitions":{"0":[1,9]}}"#,
        r#"{"version":1,"partitions":{"0":[1,2,3,4,5]}}"#,
        r#"{"version":1,"partitions":{"1":[1]}}"#,
        r#"{"version":2,"partitions":{"0":[1]}}"#,
        r#"{"version":9,"partitions":{"0":[1]}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("bad-{index}");
        session.cluster.znodes().unwrap().create(&format!("/brokers/topics/{topic}"), data).unwrap();
        session.serves(data);
        tell(session, &topic, data);
    }
    let path = format!("/brokers/topics/{TOPIC}");
    let (whole, _) = session.cluster.znodes().unwrap().get(&path).unwrap().unwrap();
    let whole = String::from_utf8(whole.to_vec()).unwrap();
    for data in ["", "{", "{}", &whole.replace("\"0\"", "\"5\"")] {
        session.cluster.znodes().unwrap().set(&path, data).unwrap();
        session.serves(data);
        session.cluster.znodes().unwrap().set(&path, &whole).unwrap();
        session.serves("an assignment that is mended");
        tell(session, TOPIC, data);
    }
}

/// What there is of a topic in the znodes and in a broker's answer.
pub(super) fn tell(session: &mut Session, topic: &str, after: &str) {
    let mut znodes = session.cluster.znodes().unwrap();
    let path = format!("/brokers/topics/{topic}");
    let mut nodes = vec![(path.clone(), znodes.get(&path).unwrap().map(|(data, _)| data))];
    for partition in znodes.children(&format!("{path}/partitions")).unwrap() {
        let path = format!("{path}/partitions/{partition}/state");
        nodes.push((path.clone(), znodes.get(&path).unwrap().map(|(data, _)| data)));
    }
    session.note(&format!("znodes after {after}"), nodes);
    let mut answer = session.cluster.metadata(2, Some(topic)).unwrap();
    answer.topics.iter_mut().for_each(|topic| topic.partitions.sort_by_key(|one| one.partition_index));
    session.note(&format!("metadata after {after}"), answer.topics);
}

fn notifications(session: &mut Session) {
    for folder in ["/isr_change_notification/isr_change_", "/log_dir_event_notification/log_dir_event_"] {
        for data in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":1,"broker":99,"event":1}"#,
            r#"{"version":1,"partitions":[{"topic":"no-such-topic","partition":0}]}"#,
            r#"{"version":9,"partitions":[{"topic":"t","partition":0}]}"#,
        ] {
            let path = session.cluster.znodes().unwrap().create_in_sequence(folder, data).unwrap();
            session.serves(data);
            let left = session.cluster.znodes().unwrap().get(&path).unwrap().map(|(data, _)| data);
            session.note(&format!("{folder} {data}"), left);
        }
    }
}

/// Configs of the topic, and words of changes; the next proper change is taken.
fn configs(session: &mut Session) {
    let path = format!("/config/topics/{TOPIC}");
    let mut turn = 0;
    for data in ["", "{", "[]", "{}", r#"{"version":1}"#, r#"{"version":1,"config":{"retention.ms":"soon"}}"#] {
        announce(session, &path, data);
        turn += 1;
        proper_change(session, &path, turn, data);
    }
    for word in [
        "",
        "{",
        "{}",
        r#"{"version":1,"entity_type":"topics","entity_name":"no-such-topic"}"#,
        r#"{"version":2}"#,
        r#"{"version":2,"entity_path":"topics"}"#,
        r#"{"version":2,"entity_path":"nothing/x"}"#,
        r#"{"version":2,"entity_path":"brokers/x"}"#,
        r#"{"version":2,"entity_path":"topics/no-such-topic"}"#,
        r#"{"version":3,"entity_path":"topics/t"}"#,
    ] {
        session.cluster.znodes().unwrap().create_in_sequence("/config/changes/config_change_", word).unwrap();
        turn += 1;
        proper_change(session, &path, turn, word);
    }
}

fn announce(session: &mut Session, path: &str, data: &str) {
    let word = format!(r#"{{"version":2,"entity_path":"topics/{TOPIC}"}}"#);
    let mut znodes = session.cluster.znodes().unwrap();
    if znodes.get(path).unwrap().is_some() {
        znodes.set(path, data).unwrap();
    } else {
        znodes.create(path, data).unwrap();
    }
    znodes.create_in_sequence("/config/changes/config_change_", &word).unwrap();
}

fn proper_change(session: &mut Session, path: &str, turn: i32, after: &str) {
    let wanted = (1_000_000 + turn).to_string();
    announce(session, path, &format!(r#"{{"version":1,"config":{{"max.message.bytes":"{wanted}"}}}}"#));
    let mut told = Vec::new();
    for id in 1..=3 {
        let mut said = None;
        session
            .cluster
            .wait(&format!("max.message.bytes={wanted} of broker {id} after {after}"), |cluster| {
                said = Some(configs_of(cluster, id)?);
                Ok(said.iter().flatten().any(|(name, value)| name == "max.message.bytes" && *value == wanted))
            })
            .unwrap();
        told.push(said);
    }
    session.note(&format!("configs after {after}"), told);
}

/// The topic's own configs, as a broker has them.
fn configs_of(cluster: &Cluster, id: usize) -> anyhow::Result<Vec<(String, String)>> {
    let resource =
        describe_configs::Resource { resource_type: 2, resource_name: Str::from(TOPIC), configuration_keys: None };
    let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
    let answer = cluster.ask(id, &request, 3)?;
    let configs = answer.results.into_iter().flat_map(|result| result.configs);
    let own = configs.filter(|config| config.config_source == 1);
    Ok(own.map(|config| (config.name.to_string(), config.value.unwrap_or_default().to_string())).collect())
}

/// Registrations that are none; the brokers go on, and all is well when they are gone.
fn brokers(session: &mut Session) {
    for (name, data) in [("9", "{"), ("9", "{}"), ("nine", "{}")] {
        let path = format!("/brokers/ids/{name}");
        session.cluster.znodes().unwrap().create(&path, data).unwrap();
        session.serves(data);
        let mut known: Vec<_> = session.cluster.metadata(2, None).unwrap().brokers;
        known.sort_by_key(|one| one.node_id);
        session.note(&format!("brokers with {name} {data}"), known);
        session.cluster.znodes().unwrap().delete(&path).unwrap();
        session.serves("a registration that is gone");
    }
    session.cluster.await_brokers().unwrap();
}
