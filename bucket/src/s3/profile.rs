//! Credentials, region and endpoint of a profile in the files that AWS's own tools keep, by
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>. Not here: asking for a role, or signing in;
//! what AWS's own tool got that way is had by `credential_process`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use nightdrop_schema::Timestamptz;
use object_store::aws::AwsCredential;
use serde::Deserialize;
use tokio::process::Command;

/// What says which profile, and where. It counts where the environment has no keys of its own.
pub(super) const ENVIRONMENT: [&str; 4] = [
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "HOME",
];

/// For so long counts what a command gave that says no end.
const WITHOUT_END: Duration = Duration::from_mins(15);

/// A profile by its name; its files are read each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    name: String,
    config: PathBuf,
    credentials: PathBuf,
}

type Properties = BTreeMap<String, String>;

impl Profile {
    /// The one that the environment names, if it does.
    pub(super) fn named<'a>(
        named: &impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Option<Self>, String> {
        let Some(name) = named("AWS_PROFILE") else {
            return Ok(None);
        };
        let file = |variable: &str, usual: &str| match (named(variable), named("HOME")) {
            (Some(path), _) => Ok(PathBuf::from(path)),
            (None, Some(home)) => Ok(Path::new(home).join(".aws").join(usual)),
            (None, None) => Err(format!(
                "AWS_PROFILE is {name:?}, and neither HOME nor {variable} says where that is"
            )),
        };
        Ok(Some(Self {
            name: name.to_owned(),
            config: file("AWS_CONFIG_FILE", "config")?,
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
        }))
    }

    /// The bucket's region, if it says one.
    pub(super) fn region(&self) -> Result<Option<String>, String> {
        Ok(self.read()?.remove("region"))
    }

    /// The server, if it says one.
    pub(super) fn endpoint(&self) -> Result<Option<String>, String> {
        Ok(self.read()?.remove("endpoint_url"))
    }

    /// Keys as they are now, and until when they are good, if that is said.
    pub(super) async fn credential(&self) -> Result<(AwsCredential, Option<SystemTime>), String> {
        let profile = self.clone();
        // A disk may hang.
        let read = tokio::task::spawn_blocking(move || profile.read());
        let mut said = read.await.map_err(|error| error.to_string())??;
        if let Some(command) = said.get("credential_process") {
            return self.ask(command).await;
        }
        for role in ["role_arn", "sso_session", "sso_account_id"] {
            if said.contains_key(role) {
                return Err(self.has_no_keys(&format!("it has {role}")));
            }
        }
        let mut take = |name| said.remove(name).filter(|value| !value.is_empty());
        match (take("aws_access_key_id"), take("aws_secret_access_key")) {
            (Some(key_id), Some(secret_key)) => {
                let token = take("aws_session_token");
                let credential = AwsCredential {
                    key_id,
                    secret_key,
                    token,
                };
                Ok((credential, None))
            }
            _ => Err(self.has_no_keys("it has no aws_access_key_id with aws_secret_access_key")),
        }
    }

    fn has_no_keys(&self, why: &str) -> String {
        let Self { name, config, .. } = self;
        format!(
            "profile {name:?}: {why}; let another profile in {} have credential_process = aws configure \
             export-credentials --profile {name}, and set AWS_PROFILE to that",
            config.display()
        )
    }

    /// Both files say something of it; where both say the same thing, the file of credentials counts.
    fn read(&self) -> Result<Properties, String> {
        let config = text(&self.config)?;
        let credentials = text(&self.credentials)?;
        let in_config = match self.name.as_str() {
            "default" => section(&config, "default").or(section(&config, "profile default")),
            name => section(&config, &format!("profile {name}")),
        };
        match (in_config, section(&credentials, &self.name)) {
            (None, None) => Err(format!(
                "profile {:?}: neither {} nor {} has it; correct AWS_PROFILE, or run aws configure --profile {}",
                self.name,
                self.config.display(),
                self.credentials.display(),
                self.name
            )),
            (config, credentials) => {
                let mut all = config.unwrap_or_default();
                all.extend(credentials.unwrap_or_default());
                Ok(all)
            }
        }
    }

    /// Runs the command that gives keys:
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>. What it says on standard
    /// error goes to ours; what it gives is never shown.
    async fn ask(&self, command: &str) -> Result<(AwsCredential, Option<SystemTime>), String> {
        let failed = |why: &str| format!("profile {:?}: credential_process {why}", self.name);
        let output = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| failed(&format!("can't be run: sh: {error}")))?;
        if !output.status.success() {
            return Err(failed(&format!("failed: {}", output.status)));
        }
        let given: Given = serde_json::from_slice(&output.stdout)
            .ok()
            .filter(|given: &Given| given.version == 1)
            .ok_or_else(|| {
                failed("gave no JSON with Version 1, AccessKeyId and SecretAccessKey")
            })?;
        let until = match &given.expiration {
            None => SystemTime::now() + WITHOUT_END,
            Some(text) => {
                instant(text).ok_or_else(|| failed("gave an Expiration that is no instant"))?
            }
        };
        let credential = AwsCredential {
            key_id: given.access_key_id,
            secret_key: given.secret_access_key,
            token: given.session_token,
        };
        Ok((credential, Some(until)))
    }
}

/// What a `credential_process` gives.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

fn instant(text: &str) -> Option<SystemTime> {
    let micros = text.parse::<Timestamptz>().ok()?.unix_micros()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(u64::try_from(micros).ok()?))
}

/// A file that isn't there says nothing.
fn text(path: &Path) -> Result<String, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// What stands below `[name]`, wherever that stands; none if it stands nowhere.
fn section(text: &str, name: &str) -> Option<Properties> {
    let mut found: Option<Properties> = None;
    let mut inside = false;
    // Indented lines below a name without a value are about something else: `s3 =`, `services =`.
    let mut nested = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = trimmed.strip_prefix('[') {
            let title = title.split(']').next().unwrap_or_default();
            inside = title.split_whitespace().eq(name.split_whitespace());
            nested = false;
            if inside {
                found.get_or_insert_default();
            }
            continue;
        }
        if nested && line.starts_with(char::is_whitespace) {
            continue;
        }
        if let Some((key, value)) = trimmed.split_once('=') {
            let value = without_comment(value).trim();
            nested = value.is_empty();
            if inside && let Some(found) = &mut found {
                found.insert(key.trim().to_lowercase(), value.to_owned());
            }
        }
    }
    found
}

/// Only behind a space: a secret may have either sign in it.
fn without_comment(value: &str) -> &str {
    let comment = [" #", " ;", "\t#", "\t;"]
        .into_iter()
        .filter_map(|sign| value.find(sign))
        .min();
    comment.map_or(value, |at| value.get(..at).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# all of us
[default]
region = eu-west-1
[profile reports]
region=eu-central-1 # Frankfurt
s3 =
  region = us-east-1
  endpoint_url = http://nested
endpoint_url = https://s3.example.com
[ profile  role ]
role_arn = arn:aws:iam::1:role/r
aws_access_key_id = not-these
aws_secret_access_key = not-these
[sso-session reports]
region = nowhere
[profile tool]
credential_process = cat \"$FOLDER/keys.json\"
[profile broken]
credential_process = exit 3
";
    const CREDENTIALS: &str = "\
[default]
aws_access_key_id = of-default
[reports]
aws_access_key_id = AKIA
aws_secret_access_key = a/b+c#d;e=
";

    fn profile(folder: &Path, name: &str) -> Profile {
        let config = folder.join("config");
        let credentials = folder.join("credentials");
        let place = folder.display().to_string();
        fs::write(&config, CONFIG.replace("$FOLDER", &place)).unwrap();
        fs::write(&credentials, CREDENTIALS).unwrap();
        Profile {
            name: name.to_owned(),
            config,
            credentials,
        }
    }

    async fn keys(profile: &Profile) -> (String, String, Option<String>) {
        let (keys, _) = profile.credential().await.unwrap();
        (keys.key_id, keys.secret_key, keys.token)
    }

    #[tokio::test]
    async fn a_profile_is_read_from_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let reports = profile(folder.path(), "reports");
        let expected = ("AKIA".to_owned(), "a/b+c#d;e=".to_owned(), None);
        assert_eq!(keys(&reports).await, expected);
        assert_eq!(reports.region().unwrap().unwrap(), "eu-central-1");
        assert_eq!(
            reports.endpoint().unwrap().unwrap(),
            "https://s3.example.com"
        );
        let default = profile(folder.path(), "default");
        assert_eq!(default.region().unwrap().unwrap(), "eu-west-1");
        assert_eq!(default.endpoint().unwrap(), None);
    }

    #[tokio::test]
    async fn keys_that_a_command_gives_are_good_until_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let tool = profile(folder.path(), "tool");
        let give = |text: &str| fs::write(folder.path().join("keys.json"), text).unwrap();
        give(
            r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T",
                "Expiration": "2033-05-18T03:33:20+00:00"}"#,
        );
        let (given, until) = tool.credential().await.unwrap();
        assert_eq!(
            (given.key_id, given.secret_key, given.token),
            ("A".to_owned(), "S".to_owned(), Some("T".to_owned()))
        );
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        assert_eq!(until, Some(expected));
        for (text, sentence) in [
            (
                r#"{"Version": 2, "AccessKeyId": "A", "SecretAccessKey": "S"}"#,
                "gave no JSON",
            ),
            ("S", "gave no JSON"),
            (
                r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "Expiration": "soon"}"#,
                "gave an Expiration that is no instant",
            ),
        ] {
            give(text);
            let said = tool.credential().await.unwrap_err();
            assert!(said.contains(sentence), "{said}");
        }
        let broken = profile(folder.path(), "broken")
            .credential()
            .await
            .unwrap_err();
        assert_eq!(
            broken,
            "profile \"broken\": credential_process failed: exit status: 3"
        );
    }

    #[tokio::test]
    async fn a_profile_without_keys_says_how_to_have_some() {
        let folder = tempfile::tempdir().unwrap();
        let said = async |name: &str| {
            let error = profile(folder.path(), name).credential().await.unwrap_err();
            error.replace(&folder.path().display().to_string(), "~/.aws")
        };
        let another = |name: &str| {
            format!(
                "let another profile in ~/.aws/config have credential_process = aws configure \
                 export-credentials --profile {name}, and set AWS_PROFILE to that"
            )
        };
        assert_eq!(
            said("role").await,
            format!("profile \"role\": it has role_arn; {}", another("role"))
        );
        assert_eq!(
            said("default").await,
            format!(
                "profile \"default\": it has no aws_access_key_id with aws_secret_access_key; {}",
                another("default")
            )
        );
        assert_eq!(
            said("nobody").await,
            "profile \"nobody\": neither ~/.aws/config nor ~/.aws/credentials has it; correct AWS_PROFILE, \
             or run aws configure --profile nobody"
        );
    }

    #[test]
    fn the_environment_says_where_its_files_are() {
        let of = |variables: &'static [(&str, &str)]| {
            let named = move |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| *value)
            };
            Profile::named(&named)
        };
        assert_eq!(of(&[("HOME", "/h")]), Ok(None));
        let usual = of(&[("AWS_PROFILE", "p"), ("HOME", "/h")])
            .unwrap()
            .unwrap();
        assert_eq!(usual.config, Path::new("/h/.aws/config"));
        assert_eq!(usual.credentials, Path::new("/h/.aws/credentials"));
        let told = of(&[
            ("AWS_PROFILE", "p"),
            ("AWS_CONFIG_FILE", "/c"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/s"),
        ]);
        assert_eq!(told.unwrap().unwrap().credentials, Path::new("/s"));
        assert!(
            of(&[("AWS_PROFILE", "p")])
                .unwrap_err()
                .contains("neither HOME nor")
        );
    }
}
