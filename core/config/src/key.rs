//! One registry entry: all that is known about a configuration key.
//!
//! Tables of entries are written with the `const` builder methods, one key after the other, so that a table reads like
//! a list: `int("num.io.threads").default("8").at_least("1").high().cluster_wide().no_effect(THREADS).doc("...")`.

/// Everything about one key. `name` is unique within its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is written in the file; a key that ends with `.` is a family (`metricsProvider.`, `server.`).
    pub name: &'static str,
    /// How its value is read, and what `DescribeConfigs` v3 calls it.
    pub kind: Kind,
    /// The value when nobody sets it.
    pub default: Default,
    /// Which values are allowed, all of them checked in this order.
    pub valid: &'static [Valid],
    /// How much the original's documentation thinks a user needs it.
    pub importance: Importance,
    /// When it may change.
    pub update: Update,
    /// What this server makes of it.
    pub state: State,
    /// For a topic config: the broker key that holds its default.
    pub broker_synonym: Option<&'static str>,
    /// What it means, in our words; `DescribeConfigs` v3 sends it.
    pub doc: &'static str,
}

/// Types of `org.apache.kafka.common.config.ConfigDef.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text, trimmed.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// Floating point.
    Double,
    /// Texts between commas.
    List,
    /// Name of a Java class; the built-in ones stand for parts of ours.
    Class,
    /// Text that is never shown.
    Password,
}

/// The value of a key that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// There is none: the key must be set.
    Required,
    /// Absent (Java's null).
    Null,
    /// This text, in the form that `DescribeConfigs` shows.
    Is(&'static str),
}

/// One rule for values: `ConfigDef.Validator` and its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// A number not below this (`Range.atLeast`); written as the message shows it.
    AtLeast(&'static str),
    /// A number not above this (the upper half of `Range.between`).
    AtMost(&'static str),
    /// One of these texts (`ValidString`).
    OneOf(&'static [&'static str]),
    /// Each element is one of these texts (`ValidList`).
    EachOneOf(&'static [&'static str]),
    /// Not null (`NonNullValidator`).
    NonNull,
    /// Not the empty text (`NonEmptyString`).
    NonEmpty,
    /// A version of Kafka (`ApiVersionValidator`).
    ApiVersion,
    /// `partition:broker` pairs, or `*` alone (`ThrottledReplicaListValidator`).
    ThrottledReplicas,
    /// Only these classes can be named; others are not part of this program.
    Classes(&'static [&'static str]),
}

/// `ConfigDef.Importance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Most installations set it.
    High,
    /// Some do.
    Medium,
    /// Few do.
    Low,
}

/// When a key may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// At a restart.
    ReadOnly,
    /// While running, for one broker.
    PerBroker,
    /// While running, for one broker or as the default of all.
    ClusterWide,
}

impl Update {
    /// As the original's documentation writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

/// What this server makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does what it says.
    Honoured,
    /// It is read and checked, but changes nothing, and here is why. One log line says so when it is set.
    NoEffect(&'static str),
    /// A value other than the default refuses the start, and here is why and what to do.
    Refused(&'static str),
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            default: Default::Null,
            valid: &[],
            importance: Importance::Low,
            update: Update::ReadOnly,
            state: State::Honoured,
            broker_synonym: None,
            doc: "",
        }
    }

    pub(crate) const fn required(mut self) -> Self {
        self.default = Default::Required;
        self
    }

    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = Default::Is(value);
        self
    }

    pub(crate) const fn valid(mut self, rules: &'static [Valid]) -> Self {
        self.valid = rules;
        self
    }

    pub(crate) const fn high(mut self) -> Self {
        self.importance = Importance::High;
        self
    }

    pub(crate) const fn medium(mut self) -> Self {
        self.importance = Importance::Medium;
        self
    }

    pub(crate) const fn per_broker(mut self) -> Self {
        self.update = Update::PerBroker;
        self
    }

    pub(crate) const fn cluster_wide(mut self) -> Self {
        self.update = Update::ClusterWide;
        self
    }

    pub(crate) const fn no_effect(mut self, why: &'static str) -> Self {
        self.state = State::NoEffect(why);
        self
    }

    pub(crate) const fn refused(mut self, why: &'static str) -> Self {
        self.state = State::Refused(why);
        self
    }

    pub(crate) const fn broker_key(mut self, key: &'static str) -> Self {
        self.broker_synonym = Some(key);
        self
    }

    pub(crate) const fn doc(mut self, text: &'static str) -> Self {
        self.doc = text;
        self
    }

    /// Never shown or logged?
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// The default as text, if there is one.
    #[must_use]
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.default {
            Default::Is(text) => Some(text),
            Default::Null | Default::Required => None,
        }
    }
}

pub(crate) const fn boolean(name: &'static str) -> Key {
    Key::new(name, Kind::Boolean)
}

pub(crate) const fn string(name: &'static str) -> Key {
    Key::new(name, Kind::String)
}

pub(crate) const fn int(name: &'static str) -> Key {
    Key::new(name, Kind::Int)
}

pub(crate) const fn short(name: &'static str) -> Key {
    Key::new(name, Kind::Short)
}

pub(crate) const fn long(name: &'static str) -> Key {
    Key::new(name, Kind::Long)
}

pub(crate) const fn double(name: &'static str) -> Key {
    Key::new(name, Kind::Double)
}

pub(crate) const fn list(name: &'static str) -> Key {
    Key::new(name, Kind::List)
}

pub(crate) const fn class(name: &'static str) -> Key {
    Key::new(name, Kind::Class)
}

pub(crate) const fn password(name: &'static str) -> Key {
    Key::new(name, Kind::Password)
}
