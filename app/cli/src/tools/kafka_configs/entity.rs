//! What configs belong to: a topic, a broker, a user, a client, a user's client.

use std::fmt;

use crate::console::Thrown;
use crate::kafka_zookeeper::KafkaZookeeper;

/// The znode of what holds for all.
pub(super) const DEFAULT: &str = "<default>";

/// One part: a kind in the plural, and the name of its znode; without a name all of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) kind: String,
    pub(super) name: Option<String>,
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind.as_str() {
            "users" => "user-principal",
            "clients" => "client-id",
            "topics" => "topic",
            other => other,
        };
        match &self.name {
            None => formatter.write_str(&self.kind),
            Some(name) if name == DEFAULT => write!(formatter, "default {kind}"),
            Some(name) if matches!(self.kind.as_str(), "users" | "clients") => {
                write!(formatter, "{kind} '{}'", desanitize(name))
            }
            Some(name) => write!(formatter, "{kind} '{name}'"),
        }
    }
}

/// An entity, or a client within a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigEntity {
    pub(super) root: Entity,
    pub(super) child: Option<Entity>,
}

impl fmt::Display for ConfigEntity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.root)?;
        self.child.iter().try_for_each(|child| write!(formatter, ", {child}"))
    }
}

impl ConfigEntity {
    /// The path below the kind's znode.
    pub(super) fn full_name(&self) -> String {
        let child = match &self.child {
            Some(Entity { kind, name: Some(name) }) => format!("/{kind}/{name}"),
            Some(Entity { kind, name: None }) => format!("/{kind}"),
            None => String::new(),
        };
        self.root.name.clone().unwrap_or_default() + &child
    }

    /// All entities that are meant where names are left out.
    pub(super) fn expand(&self, zookeeper: &mut KafkaZookeeper) -> Result<Vec<Self>, Thrown> {
        let named = |entity: &Entity, name: String| Entity { kind: entity.kind.clone(), name: Some(name) };
        let Some(root) = &self.root.name else {
            let mut all = Vec::new();
            for name in zookeeper.children(&format!("/config/{}", self.root.kind))? {
                let child = self.child.as_ref().map(|child| Entity { kind: child.kind.clone(), name: None });
                all.extend(Self { root: named(&self.root, name), child }.expand(zookeeper)?);
            }
            return Ok(all);
        };
        match &self.child {
            Some(child) if child.name.is_none() => {
                let names = zookeeper.children(&format!("/config/{}/{root}/{}", self.root.kind, child.kind))?;
                let with = |name| Self { root: self.root.clone(), child: Some(named(child, name)) };
                Ok(names.into_iter().map(with).collect())
            }
            _ => Ok(vec![self.clone()]),
        }
    }
}

/// A name as it stands in ZooKeeper (upstream `Sanitizer`): URL-encoded, with blanks as `%20` and stars as `%2A`.
pub(super) fn sanitize(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    name.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn desanitize(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_come_back() {
        assert_eq!(sanitize("c d/e*+\u{e9}"), "c%20d%2Fe%2A%2B%C3%A9");
        assert_eq!(desanitize("c%20d%2Fe%2A%2B%C3%A9%"), "c d/e*+\u{e9}%");
    }

    #[test]
    fn entities_by_name() {
        let entity = |kind: &str, name: Option<&str>| Entity { kind: kind.into(), name: name.map(str::to_owned) };
        let client =
            ConfigEntity { root: entity("users", Some("u%20")), child: Some(entity("clients", Some(DEFAULT))) };
        assert_eq!(client.to_string(), "user-principal 'u ', default client-id");
        assert_eq!(client.full_name(), "u%20/clients/<default>");
    }
}
