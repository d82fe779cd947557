//! Which jobs go to a table that somebody else made, or that they share.

use nightdrop_schema::{Job, Producer};
use schemars::JsonSchema;
use serde::Deserialize;

/// A table that several producers' jobs share, or that somebody else made.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The job whose results are sent here.
    #[schemars(with = "String", extend("format" = "name"))]
    pub job: Job,
    /// Whose: names, or `"*"` for every producer.
    #[schemars(with = "Vec<String>", extend("format" = "list of names"))]
    pub producers: Vec<Producers>,
    /// `schema.table`
    #[schemars(with = "String", extend("format" = "`\"schema.table\"`"))]
    pub table: crate::table::Name,
}

/// One entry of a route's `producers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Producers {
    /// `"*"`
    All,
    /// A producer's name.
    One(Producer),
}

impl TryFrom<String> for Producers {
    type Error = nightdrop_schema::NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "*" {
            Ok(Self::All)
        } else {
            text.parse().map(Self::One)
        }
    }
}

impl Route {
    /// Whether this route takes the job of this producer.
    pub fn takes(&self, producer: &Producer, job: &Job) -> bool {
        self.job == *job
            && self.producers.iter().any(|entry| match entry {
                Producers::All => true,
                Producers::One(one) => one == producer,
            })
    }
}
