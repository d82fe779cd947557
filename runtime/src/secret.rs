//! A secret by reference: `env:NAME` or `file:/path`, read again at each use,
//! so that a rotated one is picked up without a restart.

use std::{fmt, path::PathBuf, str::FromStr};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};

/// Where a secret is to be found. `Debug` and `Display` show the reference only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Reference);

#[derive(Clone, PartialEq, Eq)]
enum Reference {
    Env(String),
    File(PathBuf),
}

/// Why a secret could not be read. Holds the reference, never what it led to.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not there.
    #[error("env:{0} is not set; set it for this process")]
    Unset(String),
    /// The environment variable is no UTF-8.
    #[error("env:{0} is not UTF-8")]
    NotUtf8(String),
    /// The file could not be read.
    #[error("cannot read file:{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing in it: a mount or a variable that was not filled.
    #[error("{0} is empty")]
    Empty(Secret),
}

/// The text is no reference. It does not say which text: it may be the secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is not written here; write \"env:NAME\" or \"file:/path\"")]
pub struct Literal;

impl Secret {
    /// Reads it, now. A file loses one trailing newline, which editors and `echo` add.
    ///
    /// # Errors
    /// The variable or file is not there, unreadable or empty.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let text = match &self.0 {
            Reference::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => SecretError::Unset(name.clone()),
                std::env::VarError::NotUnicode(_) => SecretError::NotUtf8(name.clone()),
            })?,
            Reference::File(path) => {
                let mut text =
                    std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
                        path: path.clone(),
                        source,
                    })?;
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                text
            }
        };
        if text.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        Ok(SecretString::from(text))
    }
}

impl FromStr for Secret {
    type Err = Literal;

    fn from_str(text: &str) -> Result<Self, Literal> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self(Reference::Env(name.to_owned()))),
            // Cron and systemd start in folders of their own: a relative path would be a guess.
            Some(("file", path)) if path.starts_with('/') => {
                Ok(Self(Reference::File(PathBuf::from(path))))
            }
            _ => Err(Literal),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reference::Env(name) => write!(f, "env:{name}"),
            Reference::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Takes every scalar itself: serde's own refusals print the value that they refuse.
struct SecretVisitor;

impl de::Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"env:NAME\" or \"file:/path\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(Literal))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(Literal))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom(Literal))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(Literal))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn file(content: &str) -> (tempfile::NamedTempFile, Secret) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let secret = format!("file:{}", file.path().display()).parse().unwrap();
        (file, secret)
    }

    #[test]
    fn a_file_loses_one_trailing_newline_and_no_more() {
        for (content, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s \n\n", "s \n")] {
            let (_file, reference) = file(content);
            assert_eq!(reference.read().unwrap().expose_secret(), secret);
        }
    }

    #[test]
    fn a_file_is_read_again_at_each_use() {
        let (file, secret) = file("old");
        secret.read().unwrap();
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(secret.read().unwrap().expose_secret(), "new");
    }

    #[test]
    fn a_variable_is_read() {
        let secret: Secret = "env:CARGO_PKG_NAME".parse().unwrap();
        assert_eq!(
            secret.read().unwrap().expose_secret(),
            env!("CARGO_PKG_NAME")
        );
    }

    #[test]
    fn what_is_missing_or_empty_is_named() {
        let unset: Secret = "env:NIGHTDROP_NOT_SET".parse().unwrap();
        insta::assert_snapshot!(
            unset.read().unwrap_err(),
            @"env:NIGHTDROP_NOT_SET is not set; set it for this process"
        );
        let missing: Secret = "file:/nowhere/key".parse().unwrap();
        insta::assert_snapshot!(
            missing.read().unwrap_err(),
            @"cannot read file:/nowhere/key: No such file or directory (os error 2)"
        );
        let (_file, empty) = file("\n");
        assert!(empty.read().unwrap_err().to_string().ends_with(" is empty"));
    }

    #[test]
    fn what_is_no_reference_is_a_literal() {
        for literal in [
            "hunter2",
            "env:",
            "file:",
            "file:relative/path",
            "vault:x",
            "",
        ] {
            assert_eq!(literal.parse::<Secret>(), Err(Literal));
        }
    }

    #[test]
    fn debug_shows_the_reference_only() {
        let (file, secret) = file("hunter2");
        assert_eq!(
            format!("{secret:?}"),
            format!("Secret(file:{})", file.path().display())
        );
    }
}
