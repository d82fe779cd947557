//! The verbs that print who may do what: `policy` for the bucket, `grants` for Postgres. They only read
//! the configuration: no secret is read, and nothing is connected to.

use clap::Subcommand;
use nightdrop_bucket::policy::{self, Server};
use nightdrop_schema::Producer;

use crate::config::Config;
use crate::grants;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Rights {
    /// Print the policy that lets the consumer list, get and delete results, and do nothing else
    Policy {
        /// In whose dialect: aws or minio (SeaweedFS, too); left out, what the endpoint looks like
        #[arg(long = "for", value_name = "SERVER")]
        server: Option<Server>,
        /// Instead, what the bucket itself refuses to everyone (AWS)
        #[arg(long)]
        bucket: bool,
    },
    /// Print the SQL that gives three Postgres roles what they need, and no more
    Grants {
        /// The role that runs `migrate`
        #[arg(long, value_name = "ROLE", default_value = "nightdrop_owner")]
        owner: String,
        /// The role that reads reports
        #[arg(long, value_name = "ROLE", default_value = "nightdrop_reader")]
        reader: String,
        /// Let the consumer make tables only for these producers, and for routes
        #[arg(long, value_name = "PRODUCER", num_args = 1..)]
        strict: Option<Vec<Producer>>,
    },
}

/// Why there is nothing to print: a matter of configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Half a key.
    #[error("{0}")]
    Keys(String),
    /// No bucket that policies are about.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// No database, or no three roles.
    #[error(transparent)]
    Grants(#[from] grants::Error),
}

impl Rights {
    /// What is printed.
    ///
    /// # Errors
    /// The configuration has no answer.
    pub fn page(&self, config: &Config) -> Result<String, Error> {
        match self {
            Self::Policy { server, bucket } => {
                let settings = config.bucket.settings().map_err(Error::Keys)?;
                let rights = policy::Rights::of(&settings, *server)?;
                if *bucket {
                    Ok(rights.bucket()?)
                } else {
                    Ok(rights.consumer())
                }
            }
            Self::Grants {
                owner,
                reader,
                strict,
            } => Ok(grants::grants(config, owner, reader, strict.as_deref())?),
        }
    }
}
