//! `parameters = [{ type = "date", value = "2013-01-01" }, "cursor.from"]`: values that are bound to a
//! query's placeholders, never written into its text.

use std::fmt;

use nightdrop_schema::{Type, Value};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{config::TypeName, text_form};

/// What is bound to one placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// A value that stands in the configuration.
    Value(Parameter),
    /// An end of the interval that the run is about.
    End(Of, End),
}

/// What has an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A `cursor`.
    Cursor,
    /// A `window`.
    Window,
}

/// One of the two ends of a half-open interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first value inside.
    From,
    /// The first value after.
    To,
}

impl Of {
    /// The key in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::Window => "window",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::From => "from",
            Self::To => "to",
        })
    }
}

impl<'de> Deserialize<'de> for Placeholder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Placeholder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter: { type = \"…\", value = \"…\" }, or \"cursor.from\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Placeholder, E> {
                Ok(match text {
                    "cursor.from" => Placeholder::End(Of::Cursor, End::From),
                    "cursor.to" => Placeholder::End(Of::Cursor, End::To),
                    "window.from" => Placeholder::End(Of::Window, End::From),
                    "window.to" => Placeholder::End(Of::Window, End::To),
                    _ => {
                        return Err(E::custom(format_args!(
                            "{text:?} is no parameter; write {{ type = \"string\", value = {text:?} }}, or one of \"cursor.from\", \"cursor.to\", \"window.from\", \"window.to\""
                        )));
                    }
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Placeholder, A::Error> {
                Parameter::deserialize(MapAccessDeserializer::new(map)).map(Placeholder::Value)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// One value for one placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    ty: Type,
    /// Parses as `ty`: that was checked.
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    r#type: TypeName,
    value: toml::Value,
}

impl Parameter {
    /// A parameter of a type, from its text form.
    ///
    /// # Errors
    /// The text is no value of that type.
    pub fn new(ty: Type, text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        text_form::parse(ty, &text, &mut String::new())?;
        Ok(Self { ty, text })
    }

    /// Its type.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Its text form.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value. `scratch` is where the value's text may have to be rewritten.
    pub(crate) fn value<'a>(&'a self, scratch: &'a mut String) -> Value<'a> {
        // It was parsed when it was made; what parsed once parses again.
        text_form::parse(self.ty, &self.text, scratch).unwrap_or(Value::Null)
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let text = match table.value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Datetime(moment) => moment.to_string(),
            toml::Value::Array(_) | toml::Value::Table(_) => {
                return Err(D::Error::custom(
                    "a parameter's value is text, a number or a flag; write { type = \"json\", value = '…' } for more",
                ));
            }
        };
        Self::new(table.r#type.0, text).map_err(D::Error::custom)
    }
}

/// What a message says its query ran with: `cursor.from` and its like under their names, values that
/// stand in the configuration under their places, `$1`, `$2`, ….
pub(crate) fn recorded(
    placeholders: &[Placeholder],
    bound: &[Parameter],
) -> Option<serde_json::Map<String, serde_json::Value>> {
    (!bound.is_empty()).then(|| {
        placeholders
            .iter()
            .zip(bound)
            .enumerate()
            .map(|(index, (placeholder, parameter))| {
                let name = match placeholder {
                    Placeholder::Value(_) => format!("${}", index + 1),
                    Placeholder::End(of, end) => format!("{}.{end}", of.as_str()),
                };
                (name, serde_json::Value::String(parameter.text.clone()))
            })
            .collect()
    })
}
