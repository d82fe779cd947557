//! `parameters = [{ type = "date", value = "2013-01-01" }]`: values that are bound to a query's
//! placeholders, never written into its text.

use nightdrop_schema::{Type, Value};
use serde::{Deserialize, Deserializer, de::Error};

use crate::{config::TypeName, text_form};

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

/// What a message says its query ran with: the parameters in their order, under `$1`, `$2`, ….
pub(crate) fn recorded(
    parameters: &[Parameter],
) -> Option<serde_json::Map<String, serde_json::Value>> {
    (!parameters.is_empty()).then(|| {
        parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                (
                    format!("${}", index + 1),
                    serde_json::Value::String(parameter.text.clone()),
                )
            })
            .collect()
    })
}
