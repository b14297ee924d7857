//! The deserializers of `org.apache.kafka.common.serialization`, each followed by Java's `toString`.

use std::fmt::Write as _;

use config::Properties;

use crate::console::Thrown;

/// One of Kafka's own deserializers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deserializer {
    String,
    Bytes,
    ByteBuffer,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Uuid,
}

const PACKAGE: &str = "org.apache.kafka.common.serialization.";

impl Deserializer {
    /// The deserializer that a property names, if it is there.
    pub(super) fn of(properties: &Properties, key: &str) -> Result<Option<Self>, Thrown> {
        let Some(class) = properties.get(key) else { return Ok(None) };
        let deserializer = match class.strip_prefix(PACKAGE).unwrap_or_default() {
            "StringDeserializer" => Self::String,
            "BytesDeserializer" => Self::Bytes,
            "ByteBufferDeserializer" => Self::ByteBuffer,
            "ShortDeserializer" => Self::Short,
            "IntegerDeserializer" => Self::Integer,
            "LongDeserializer" => Self::Long,
            "FloatDeserializer" => Self::Float,
            "DoubleDeserializer" => Self::Double,
            "UUIDDeserializer" => Self::Uuid,
            _ => {
                let text = format!("{class} ({key}: only deserializers of {PACKAGE}* that make text are known here)");
                return Err(Thrown::new("java.lang.ClassNotFoundException", text));
            }
        };
        let encodings = [format!("{key}.{key}.encoding"), format!("{key}.deserializer.encoding")];
        match encodings.iter().find_map(|key| properties.get(key)) {
            Some(encoding) if !encoding.eq_ignore_ascii_case("UTF-8") && !encoding.eq_ignore_ascii_case("UTF8") => {
                Err(Thrown::illegal_argument(format!("{key}: the encoding {encoding} is not supported, only UTF-8 is")))
            }
            _ => Ok(Some(deserializer)),
        }
    }

    /// The text of the bytes.
    pub(super) fn text(self, bytes: &[u8]) -> Result<String, Thrown> {
        match self {
            Self::String => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Self::Bytes => Ok(escaped(bytes)),
            Self::ByteBuffer => Ok(format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len())),
            Self::Short => Ok(i16::from_be_bytes(exactly(bytes, "ShortDeserializer")?).to_string()),
            Self::Integer => Ok(i32::from_be_bytes(exactly(bytes, "IntegerDeserializer")?).to_string()),
            Self::Long => Ok(i64::from_be_bytes(exactly(bytes, "LongDeserializer")?).to_string()),
            Self::Float => Ok(java_float(f32::from_be_bytes(exactly(bytes, "Deserializer")?))),
            Self::Double => Ok(java_double(f64::from_be_bytes(exactly(bytes, "Deserializer")?))),
            Self::Uuid => uuid(bytes),
        }
    }
}

fn exactly<const N: usize>(bytes: &[u8], who: &str) -> Result<[u8; N], Thrown> {
    bytes.try_into().map_err(|_| {
        let text = format!("Size of data received by {who} is not {N}");
        Thrown::new("org.apache.kafka.common.errors.SerializationException", text)
    })
}

fn uuid(bytes: &[u8]) -> Result<String, Thrown> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| u64::from_str_radix(part, 16).ok().filter(|_| part.len() <= 16);
    let numbers: Option<Vec<u64>> = parts.iter().map(|part| hex(part)).collect();
    match numbers.as_deref() {
        // Java takes short parts too, and writes them in full.
        Some([a, b, c, d, e]) => Ok(format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a & 0xffff_ffff,
            b & 0xffff,
            c & 0xffff,
            d & 0xffff,
            e & 0xffff_ffff_ffff
        )),
        _ => {
            let cause = Thrown::illegal_argument(format!("Invalid UUID string: {text}"));
            let class = "org.apache.kafka.common.errors.SerializationException";
            Err(Thrown::new(class, "Error parsing data into UUID").caused_by(cause))
        }
    }
}

/// `org.apache.kafka.common.utils.Bytes.toString`: all but printable ASCII and the backslash as `\xHH`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if (b' '..=b'~').contains(byte) && *byte != b'\\' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

fn java_float(number: f32) -> String {
    java_number(number.is_nan(), number.is_infinite(), number.is_sign_negative(), &format!("{:e}", number.abs()))
}

fn java_double(number: f64) -> String {
    java_number(number.is_nan(), number.is_infinite(), number.is_sign_negative(), &format!("{:e}", number.abs()))
}

/// Java's form of a number whose shortest digits are known, as `1.25e-7`.
fn java_number(nan: bool, infinite: bool, negative: bool, shortest: &str) -> String {
    if nan {
        return "NaN".to_owned();
    }
    let sign = if negative { "-" } else { "" };
    if infinite {
        return format!("{sign}Infinity");
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
    let or_zero = |part: &str| if part.is_empty() { "0".to_owned() } else { part.to_owned() };
    if digits == "0" {
        return format!("{sign}0.0");
    }
    if !(-3..7).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        return format!("{sign}{first}.{}E{exponent}", or_zero(rest));
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    let padded = format!("{digits:0<whole$}");
    let (before, after) = padded.split_at(whole);
    format!("{sign}{before}.{}", or_zero(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_java_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1.5, "1.5"),
            (-123.25, "-123.25"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e300, "1.25E300"),
            (f64::INFINITY, "Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(java_double(number), text);
        }
        assert_eq!(java_float(0.1), "0.1");
    }

    #[test]
    fn bytes_to_text() {
        let text = |deserializer: Deserializer, bytes: &[u8]| deserializer.text(bytes).unwrap();
        assert_eq!(text(Deserializer::Long, &7_i64.to_be_bytes()), "7");
        assert_eq!(text(Deserializer::Short, &[0xff, 0xfe]), "-2");
        assert_eq!(text(Deserializer::Bytes, b"a\\\n~\x80"), "a\\x5C\\x0A~\\x80");
        assert_eq!(text(Deserializer::ByteBuffer, b"abc"), "java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]");
        assert_eq!(text(Deserializer::Uuid, b"1-2-3-4-5"), "00000001-0002-0003-0004-000000000005");
        assert!(Deserializer::Uuid.text(b"x").is_err());
        assert_eq!(
            Deserializer::Integer.text(b"null!").unwrap_err().message,
            "Size of data received by IntegerDeserializer is not 4"
        );
    }

    #[test]
    fn only_classes_that_are_known() {
        let of = |class: &str| {
            let mut properties = Properties::new();
            properties.set("key.deserializer", class);
            Deserializer::of(&properties, "key.deserializer")
        };
        assert_eq!(of("org.apache.kafka.common.serialization.LongDeserializer").unwrap(), Some(Deserializer::Long));
        assert!(of("my.Deserializer").unwrap_err().message.starts_with("my.Deserializer ("));
        assert_eq!(Deserializer::of(&Properties::new(), "key.deserializer").unwrap(), None);
    }
}
