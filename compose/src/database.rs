//! One database of a server, and one user's way into it.

use url::Url;

/// A database, and a user who may use it.
#[derive(Clone)]
pub struct Database {
    /// Where it is, with the user's name and without the password: as it stands in a config file.
    pub url: String,
    /// The user's password.
    pub password: String,
}

impl Database {
    pub(crate) fn new(scheme: &str, port: u16, user: &str, password: &str, name: &str) -> Self {
        Self {
            url: format!("{scheme}://{user}@127.0.0.1:{port}/{name}"),
            password: password.to_owned(),
        }
    }

    /// The URL with the password in it, as drivers take it.
    ///
    /// # Panics
    /// When `url` was changed to something that is no URL.
    pub fn with_password(&self) -> String {
        let mut url = Url::parse(&self.url).expect("the URL was made by us");
        url.set_password(Some(&self.password))
            .expect("it has a host");
        url.into()
    }

    /// Another user's way into the same database.
    ///
    /// # Panics
    /// As [`Database::with_password`].
    #[must_use]
    pub fn of(&self, user: &str, password: &str) -> Self {
        let mut url = Url::parse(&self.url).expect("the URL was made by us");
        url.set_username(user).expect("it has a host");
        Self {
            url: url.into(),
            password: password.to_owned(),
        }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

/// A new password, or part of a name: 20 letters and digits.
pub(crate) fn random_word() -> String {
    (0..20)
        .map(|_| char::from(rand::random_range(b'a'..=b'z')))
        .collect()
}
