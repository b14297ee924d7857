//! What was written, under the names of the registry: keys of `zoo.cfg`, and properties from `-D` and from `zoo.cfg`.

use std::collections::BTreeMap;

use super::error::Problem;
use super::keys;
use super::servers::Ensemble;
use crate::key::{Key, Kind, State};
use crate::notice::Notice;
use crate::properties::{Properties, comment_hint};
use crate::value::parse_double;

/// Raw values and typed access to them; a key that was not written has the registry's default.
#[derive(Debug)]
pub(super) struct Raw {
    file: Properties,
    values: BTreeMap<String, String>,
}

/// The classes that are built in.
const PROVIDERS: [&str; 4] = [
    "org.apache.zookeeper.server.auth.DigestAuthenticationProvider",
    "org.apache.zookeeper.server.auth.IPAuthenticationProvider",
    "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
    "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
];

impl Raw {
    /// Sorts what was written under its names, refuses what is refused, and says what has no effect or is unknown.
    pub(super) fn new(file: Properties, java: &Properties, notices: &mut Vec<Notice>) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        let known = |name: &str| keys::property(name).is_some() || name == "fsync.warningthresholdms";
        for (name, value) in java.iter() {
            // The one key of the file that is a property, too.
            if name == "zookeeper.multiAddress.enabled" {
                values.insert("multiAddress.enabled".to_owned(), value.to_owned());
                continue;
            }
            if known(name) {
                values.insert(name.to_owned(), value.to_owned());
            } else if name.starts_with("zookeeper.") {
                notices.push(Notice::warn(super::CONFIG, format!("The property {name} is unknown and has no effect")));
            }
        }
        for (name, value) in file.iter() {
            let (name, value) = (name.trim(), value.trim());
            let property = format!("zookeeper.{name}");
            if keys::zoo_cfg(name).is_some() {
                values.insert(name.to_owned(), value.to_owned());
            } else if keys::property(&property).is_some() {
                values.insert(property, value.to_owned());
            } else {
                notices.push(Notice::warn(super::CONFIG, unknown_key(name)));
            }
        }
        let raw = Self { file, values };
        raw.check_sasl_between_servers()?;
        raw.check_states(notices)?;
        Ok(raw)
    }

    /// What the original asks of these three keys, before they are refused as a whole.
    fn check_sasl_between_servers(&self) -> Result<(), Problem> {
        const ENABLE: &str = "quorum.auth.enableSasl";
        const SERVER: &str = "quorum.auth.serverRequireSasl";
        const LEARNER: &str = "quorum.auth.learnerRequireSasl";
        for (needed, wanted) in [(ENABLE, SERVER), (ENABLE, LEARNER), (LEARNER, SERVER)] {
            if self.boolean(wanted)? && !self.boolean(needed)? {
                return Err(Problem::illegal(format!("{needed} is disabled, so cannot enable {wanted}")));
            }
        }
        Ok(())
    }

    /// Refused keys are errors; keys without effect are told once for each reason.
    fn check_states(&self, notices: &mut Vec<Notice>) -> Result<(), Problem> {
        let mut without_effect: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in &self.values {
            let Some(key) = entry(name) else { continue };
            key_check(key, name, value)?;
            if is_default(key, value) {
                continue;
            }
            match key.state {
                State::Refused(why) => return Err(Problem::config(format!("{name}={value}: {why}"))),
                State::NoEffect(why) => without_effect.entry(why).or_default().push(name),
                _ if key.name == "zookeeper.authProvider." && !PROVIDERS.contains(&value.as_str()) => {
                    return Err(Problem::config(format!(
                        "{name}={value}: only the built-in classes for digest, ip, x509 and sasl are served: remove the key, or keep this node on the original"
                    )));
                }
                _ => {}
            }
        }
        for (why, names) in without_effect {
            notices.push(Notice::info(
                super::CONFIG,
                format!("{}: accepted without effect, since {why}", names.join(", ")),
            ));
        }
        Ok(())
    }

    /// The keys whose values are words, in the original's sentences.
    pub(super) fn check_words(&self) -> Result<(), Problem> {
        if self.int("electionAlg")? != 3 {
            return Err(Problem::config("Invalid electionAlg value. Only 3 is supported."));
        }
        super::PeerType::parse(&self.text("peerType").unwrap_or_default())?;
        for name in ["server.", "group", "weight"] {
            let key = self.file.iter().map(|(key, _)| key.trim()).find(|key| key.starts_with(name));
            if let (Some(key), Some(_)) = (key, self.file.get("dynamicConfigFile")) {
                return Err(Problem::config(format!("parameter: {key} must be in a separate dynamic config file")));
            }
        }
        for (name, thing) in [("standaloneEnabled", "standalone mode"), ("reconfigEnabled", "reconfigEnabled flag")] {
            let value = self.text(name).unwrap_or_default();
            if !matches!(value.to_lowercase().as_str(), "true" | "false") {
                let text =
                    format!("Invalid option {value} for {thing}. Choose 'true' or 'false.'{}", comment_hint(&value));
                return Err(Problem::config(text));
            }
        }
        Ok(())
    }

    /// Whether a way to log in of this class is configured.
    pub(super) fn provides(&self, class: &str) -> bool {
        self.values.iter().any(|(name, value)| name.starts_with("zookeeper.authProvider.") && value == class)
    }

    /// Was it written?
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The text written, or the default, or nothing.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let written = self.values.get(name).map(String::as_str);
        written.or_else(|| entry(name)?.default_text()).map(str::to_owned)
    }

    pub(super) fn int(&self, name: &str) -> Result<i32, Problem> {
        let number = self.long(name)?;
        i32::try_from(number).map_err(|_| not_a_number(name, &number.to_string()))
    }

    pub(super) fn long(&self, name: &str) -> Result<i64, Problem> {
        let text = self.text(name).unwrap_or_default();
        let number = if keys::zoo_cfg(name).is_some() { text.parse().ok() } else { decode(&text) };
        number.ok_or_else(|| not_a_number(name, &text))
    }

    pub(super) fn double(&self, name: &str) -> Result<f64, Problem> {
        let text = self.text(name).unwrap_or_default();
        parse_double(&text).ok_or_else(|| not_a_number(name, &text))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, Problem> {
        let text = self.text(name).unwrap_or_default();
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.bad(name, &text, "it is either true or false")),
        }
    }

    pub(super) fn yes_or_no(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name).unwrap_or_default().as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            other => Err(self.bad(name, other, "it is either yes or no")),
        }
    }

    /// A value that its key does not take.
    #[expect(clippy::unused_self, reason = "reads as a question to the values, like its neighbours")]
    pub(super) fn bad(&self, name: &str, value: &str, why: &str) -> Problem {
        Problem::illegal(format!("Invalid value {value} for configuration {name}: {why}{}", comment_hint(value)))
    }

    /// The list of servers in `zoo.cfg` itself.
    pub(super) fn ensemble(&self) -> Result<Ensemble, Problem> {
        Ensemble::parse(&self.file, false, self.boolean("multiAddress.enabled")?)
    }
}

/// The registry entry behind a name in [`Raw::values`].
fn entry(name: &str) -> Option<&'static Key> {
    match name {
        // The older name of one property, still read.
        "fsync.warningthresholdms" => keys::property("zookeeper.fsync.warningthresholdms"),
        _ => keys::zoo_cfg(name).or_else(|| keys::property(name)),
    }
}

/// Is the value ill-typed? Families have texts.
fn key_check(key: &Key, name: &str, value: &str) -> Result<(), Problem> {
    let bad = |why: &str| {
        Problem::illegal(format!("Invalid value {value} for configuration {name}: {why}{}", comment_hint(value)))
    };
    match key.kind {
        // These two have sentences of their own, see `check_words`.
        Kind::Boolean if matches!(key.name, "standaloneEnabled" | "reconfigEnabled") => Ok(()),
        Kind::Boolean => matches!(value.to_ascii_lowercase().as_str(), "true" | "false")
            .then_some(())
            .ok_or_else(|| bad("it is either true or false")),
        Kind::Int | Kind::Long => {
            let number: Option<i64> = if keys::zoo_cfg(name).is_some() { value.parse().ok() } else { decode(value) };
            let fits = number.is_some_and(|number| key.kind == Kind::Long || i32::try_from(number).is_ok());
            fits.then_some(()).ok_or_else(|| not_a_number(name, value))
        }
        _ if key.name == "metricsProvider.className" => key
            .parse(value)
            .map(|_| ())
            .map_err(|error| Problem::illegal(format!("metrics provider class was not found ({error})"))),
        Kind::Double => parse_double(value).map(|_| ()).ok_or_else(|| not_a_number(name, value)),
        _ => key.parse(value).map(|_| ()).map_err(|error| Problem::illegal(error.to_string())),
    }
}

fn is_default(key: &Key, value: &str) -> bool {
    key.default_text().is_some_and(|default| default.eq_ignore_ascii_case(value))
}

fn not_a_number(name: &str, text: &str) -> Problem {
    Problem::not_a_number(text, &format!(" (the value of {name}){}", comment_hint(text)))
}

/// `Long.decode`, by which properties are read: also `0x10`, `#10` and octal `010`.
fn decode(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = ["0x", "0X", "#"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, radix) = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{}{digits}", if negative { "-" } else { "" }), radix).ok()
}

/// The warning about a key of `zoo.cfg` that nothing reads.
fn unknown_key(name: &str) -> String {
    match keys::property(name) {
        Some(key) if !key.name.starts_with("zookeeper.") => {
            format!(
                "{name} is not read from this file, but as a property: start the server with -D{name}=... (JVMFLAGS)"
            )
        }
        _ => format!(
            "The key {name} is unknown and has no effect; it becomes the property zookeeper.{name}, which nothing reads"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_decoded_as_java_does() {
        for (text, number) in [
            ("10", Some(10)),
            ("-10", Some(-10)),
            ("+7", Some(7)),
            ("0x1F", Some(31)),
            ("#ff", Some(255)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("-0x10", Some(-16)),
            ("", None),
            ("--1", None),
            ("0x-1", None),
            ("9 # x", None),
        ] {
            assert_eq!(decode(text), number, "{text}");
        }
    }
}
