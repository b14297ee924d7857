//! JSON in files that users give to tools, read as `kafka.utils.Json` and its `JsonValue` do, with their exceptions.

use serde_json::{Map, Value};

use crate::console::Thrown;
use crate::kafka_admin::read_file;

/// The object that a text begins with, whatever stands behind it; none if the text begins with no JSON.
pub(crate) fn parse(text: &str) -> Result<Option<Map<String, Value>>, Thrown> {
    match serde_json::Deserializer::from_str(text).into_iter().next() {
        Some(Ok(Value::Object(object))) => Ok(Some(object)),
        Some(Ok(value)) => Err(expected("JSON object", &value)),
        Some(Err(_)) => Ok(None),
        // What is missing is a value too, and prints as nothing.
        None => Err(expected("JSON object", &"")),
    }
}

/// The content of a file (`Utils.readFileAsString`).
pub(crate) fn read_file_as_string(path: &str) -> Result<String, Thrown> {
    let bytes = read_file(path)
        .map_err(|cause| Thrown::new("java.io.IOException", format!("Unable to read file {path}")).caused_by(cause))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// An object.
pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>, Thrown> {
    value.as_object().ok_or_else(|| expected("JSON object", value))
}

/// An array.
pub(crate) fn array(value: &Value) -> Result<&Vec<Value>, Thrown> {
    value.as_array().ok_or_else(|| expected("JSON array", value))
}

/// A field that must be there.
pub(crate) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Thrown> {
    object.get(name).ok_or_else(|| mapping(format!("No such field exists: `{name}`")))
}

/// A whole number of 32 bits.
pub(crate) fn integer(value: &Value) -> Result<i32, Thrown> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| expected("`Int` value", value))
}

/// A text.
pub(crate) fn text(value: &Value) -> Result<&str, Thrown> {
    value.as_str().ok_or_else(|| expected("`String` value", value))
}

fn expected(what: &str, value: &impl std::fmt::Display) -> Thrown {
    mapping(format!("Expected {what}, received {value}"))
}

fn mapping(message: String) -> Thrown {
    Thrown::new("com.fasterxml.jackson.databind.JsonMappingException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused_in_the_originals_words() {
        let fields = parse(r#"{"a": [1, "x"], "b": 2.0} and more"#).unwrap().unwrap();
        let list = array(field(&fields, "a").unwrap()).unwrap();
        assert_eq!((integer(&list[0]), text(&list[1])), (Ok(1), Ok("x")));
        let message = |thrown: Thrown| thrown.message;
        assert_eq!(message(field(&fields, "c").unwrap_err()), "No such field exists: `c`");
        assert_eq!(message(integer(&fields["b"]).unwrap_err()), "Expected `Int` value, received 2.0");
        assert_eq!(message(text(&list[0]).unwrap_err()), "Expected `String` value, received 1");
        assert_eq!(message(object(&list[0]).unwrap_err()), "Expected JSON object, received 1");
        assert_eq!(message(array(&list[1]).unwrap_err()), "Expected JSON array, received \"x\"");
        assert_eq!((parse("{").unwrap(), parse("nonsense").unwrap()), (None, None));
        let refused = |text: &str| message(parse(text).unwrap_err());
        assert_eq!(
            (refused("[1]"), refused(" ")),
            ("Expected JSON object, received [1]".to_owned(), "Expected JSON object, received ".to_owned())
        );
    }
}
