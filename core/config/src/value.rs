//! Typed values and the messages of `ConfigDef` about bad ones.

use std::fmt;

use crate::error::ConfigError;
use crate::key::{Key, Kind, Valid};
use crate::version::ApiVersion;

/// A checked value.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Java's null.
    Null,
    /// `BOOLEAN`
    Boolean(bool),
    /// `STRING` and `CLASS` (the class's name), trimmed.
    String(String),
    /// `INT`
    Int(i32),
    /// `SHORT`
    Short(i16),
    /// `LONG`
    Long(i64),
    /// `DOUBLE`
    Double(f64),
    /// `LIST`
    List(Vec<String>),
    /// `PASSWORD`; its `Debug` and `Display` hide it.
    Password(String),
}

impl Key {
    /// Reads `text` as this key's type and checks it by all its rules (`ConfigDef.parseValue` of a value that is set).
    ///
    /// # Errors
    /// The original's message for an ill-typed or forbidden value.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let value = self.parse_type(text)?;
        self.check(&value)?;
        Ok(value)
    }

    /// The default value; `Missing required configuration ...` if there is none.
    ///
    /// # Errors
    /// For a required key.
    pub fn default_value(&self) -> Result<Value, ConfigError> {
        match self.default {
            crate::Default::Null => Ok(Value::Null),
            crate::Default::Is(text) => self.parse_type(text),
            crate::Default::Required => Err(ConfigError::config(format!(
                "Missing required configuration \"{}\" which has no default value.",
                self.name
            ))),
        }
    }

    /// `ConfigDef.parseType`.
    fn parse_type(&self, text: &str) -> Result<Value, ConfigError> {
        let trimmed = trim(text);
        let not_a_number =
            |kind: &str| ConfigError::invalid(self.name, text, format_args!("Not a number of type {kind}"));
        Ok(match self.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Kind::Boolean => {
                return Err(ConfigError::invalid(self.name, text, "Expected value to be either true or false"));
            }
            Kind::String | Kind::Class => Value::String(trimmed.to_owned()),
            Kind::Password => Value::Password(trimmed.to_owned()),
            Kind::Int => Value::Int(trimmed.parse().map_err(|_| not_a_number("INT"))?),
            Kind::Short => Value::Short(trimmed.parse().map_err(|_| not_a_number("SHORT"))?),
            Kind::Long => Value::Long(trimmed.parse().map_err(|_| not_a_number("LONG"))?),
            Kind::Double => Value::Double(parse_double(trimmed).ok_or_else(|| not_a_number("DOUBLE"))?),
            Kind::List if trimmed.is_empty() => Value::List(Vec::new()),
            Kind::List => Value::List(split_list(trimmed)),
        })
    }

    /// Checks a value, be it set or the default, by all rules.
    ///
    /// # Errors
    /// The original's message for a forbidden value.
    pub fn check(&self, value: &Value) -> Result<(), ConfigError> {
        self.valid.iter().try_for_each(|rule| rule.check(self.name, value))
    }
}

impl Valid {
    fn check(&self, name: &str, value: &Value) -> Result<(), ConfigError> {
        let invalid = |why: String| Err(ConfigError::invalid(name, &value.to_string(), why));
        match self {
            Self::AtLeast(_) | Self::AtMost(_) | Self::NonNull if *value == Value::Null => {
                let (why, null) = if *self == Self::NonNull {
                    ("entry must be non null", "null")
                } else {
                    ("Value must be non-null", "null")
                };
                Err(ConfigError::invalid(name, null, why))
            }
            Self::AtLeast(low) if value.as_double() < parse_double(low) => {
                invalid(format!("Value must be at least {low}"))
            }
            Self::AtMost(high) if value.as_double() > parse_double(high) => {
                invalid(format!("Value must be no more than {high}"))
            }
            Self::OneOf(all) if !value.as_str().is_some_and(|text| all.contains(&text)) => {
                invalid(format!("String must be one of: {}", all.join(", ")))
            }
            Self::EachOneOf(all) => match value.as_list().iter().find(|text| !all.contains(&text.as_str())) {
                Some(text) => {
                    Err(ConfigError::invalid(name, text, format_args!("String must be one of: {}", all.join(", "))))
                }
                None => Ok(()),
            },
            Self::NonEmpty if value.as_str() == Some("") => invalid("String must be non-empty".to_owned()),
            Self::ApiVersion => match value.as_str().map(ApiVersion::parse) {
                Some(Err(error)) => invalid(error.to_string()),
                _ => Ok(()),
            },
            Self::ThrottledReplicas => check_throttled_replicas(name, value.as_list()),
            Self::Classes(known) => match value.class_names().find(|class| !known.contains(class)) {
                Some(class) => {
                    Err(ConfigError::invalid(name, class, format_args!("Class {class} could not be found."))
                        .hint(known_classes(known)))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// What follows the original's message where Java classes cannot be loaded.
fn known_classes(known: &[&str]) -> String {
    match known {
        [] => " This program loads no Java classes: remove the key.".to_owned(),
        known => {
            format!(" This program loads no Java classes; these names stand for built-in parts: {}.", known.join(", "))
        }
    }
}

/// `ThrottledReplicaListValidator`: `*` first, or `partition:broker` pairs, of which some may be empty.
fn check_throttled_replicas(name: &str, entries: &[String]) -> Result<(), ConfigError> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair =
        |entry: &str| entry.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker));
    let is_valid = |entry: &String| trim(entry).is_empty() || pair(trim(entry));
    if entries.iter().all(is_valid) || entries.first().is_some_and(|first| trim(first) == "*") {
        return Ok(());
    }
    let why = format_args!(
        "{name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(ConfigError::invalid(name, &format!("[{}]", entries.join(", ")), why))
}

impl Value {
    /// The text of a string or class.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Password(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; none for another type.
    #[must_use]
    pub fn as_list(&self) -> &[String] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// Any number, as the original's range check compares it.
    fn as_double(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(f64::from(*number)),
            Self::Short(number) => Some(f64::from(*number)),
            #[expect(clippy::cast_precision_loss, reason = "the original compares doubles too")]
            Self::Long(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// As `AbstractConfig` logs it at the start: a list in brackets, a class with the word before it.
    pub(crate) fn to_log(&self) -> String {
        match self {
            Self::List(elements) => format!("[{}]", elements.join(", ")),
            other => other.to_string(),
        }
    }

    /// Class names in a class, string or list.
    fn class_names(&self) -> impl Iterator<Item = &str> {
        let single = self.as_str().filter(|text| !text.is_empty());
        single.into_iter().chain(self.as_list().iter().map(String::as_str))
    }
}

/// The Rust type of a key's kind; `Option` where the default is null.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $variant:ident),*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(inner.clone()),
                    _ => None,
                }
            }
        }
    )*};
}

from_value!(bool: Boolean, String: String, i32: Int, i16: Short, i64: Long, f64: Double, Vec<String>: List);

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl fmt::Display for Value {
    /// As `ConfigDef.convertToString`; a password is hidden as Java's `Password` hides itself.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::String(text) => formatter.write_str(text),
            Self::Int(number) => write!(formatter, "{number}"),
            Self::Short(number) => write!(formatter, "{number}"),
            Self::Long(number) => write!(formatter, "{number}"),
            Self::Double(number) => formatter.write_str(&format_double(*number)),
            Self::List(elements) => formatter.write_str(&elements.join(",")),
            Self::Password(_) => formatter.write_str("[hidden]"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// `String.trim` of Java: everything up to U+0020 at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Elements between commas; the white space around a comma goes, empty elements stay.
fn split_list(trimmed: &str) -> Vec<String> {
    trimmed
        .split(',')
        .map(|element| element.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']).to_owned())
        .collect()
}

/// `Double.parseDouble`: also `1d`, `2F`, `NaN`, `Infinity`; not Rust's `inf` and `nan`. Hexadecimal floats are no
/// configuration values.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = match unsigned {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let digits = unsigned.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(unsigned);
            if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
                return None;
            }
            digits.parse().ok()?
        }
    };
    Some(if text.starts_with('-') { -number } else { number })
}

/// `Double.toString`: plain digits from 0.001 up to ten million, else one digit, a point and an exponent.
pub(crate) fn format_double(number: f64) -> String {
    let magnitude = number.abs();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        format!("{}Infinity", if number < 0.0 { "-" } else { "" })
    } else if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        format!("{number:?}")
    } else {
        let text = format!("{number:E}");
        if text.split('E').next().is_some_and(|mantissa| mantissa.contains('.')) {
            text
        } else {
            text.replacen('E', ".0E", 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_read_and_print_as_in_java() {
        for (text, number) in [
            ("1", Some(1.0)),
            ("1d", Some(1.0)),
            ("-.5F", Some(-0.5)),
            ("1e3", Some(1000.0)),
            ("inf", None),
            ("nan", None),
        ] {
            assert_eq!(parse_double(text), number, "{text}");
        }
        assert_eq!(parse_double(""), None);
        assert_eq!(parse_double("-Infinity"), Some(f64::NEG_INFINITY));
        for (number, text) in [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (1e7, "1.0E7"),
            (f64::MAX, "1.7976931348623157E308"),
            (1.25e-4, "1.25E-4"),
            (0.0, "0.0"),
        ] {
            assert_eq!(format_double(number), text);
        }
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(format!("{0} {0:?}", Value::Password("secret".into())), "[hidden] [hidden]");
    }
}
