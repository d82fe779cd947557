//! Which server, region and bucket are meant: the settings, and what of the AWS environment counts.

use std::{collections::BTreeMap, ffi::OsString};

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
};
use std::time::Duration;
use url::Url;

use super::{Wire, profile, profile::Profile};
use crate::{Settings, policy};

/// The variables that count, where `keys` are left out. The others that `object_store` knows would
/// change in silence what the settings say (`AWS_SKIP_SIGNATURE`, `AWS_BUCKET`, `AWS_ALLOW_HTTP` …).
const ENVIRONMENT: [&str; 16] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_IMDSV1_FALLBACK",
];

/// What is meant by the settings.
pub(super) struct Target {
    /// For messages: `s3://bucket at https://host`.
    pub(super) place: String,
    /// For messages: the server's host and port.
    pub(super) server: String,
    pub(super) wire: Wire,
    pub(super) aws: bool,
    /// Whose keys count, where the settings and the environment have none.
    pub(super) profile: Option<Profile>,
    /// All set but the credentials of `Settings::keys` and of the profile.
    pub(super) builder: AmazonS3Builder,
}

impl Target {
    /// Decides, or says in a sentence why `settings` can't work.
    pub(super) fn from(
        settings: &Settings,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, String> {
        let bucket = bucket(&settings.url)?;
        let environment = if settings.keys.is_some() {
            BTreeMap::new()
        } else {
            heeded(variables)
        };
        let named = |name: &str| environment.get(name).map(String::as_str);
        let profile = if has_keys(&named) {
            None
        } else {
            Profile::named(&named)?
        };
        if settings.keys.is_none() && !settings.imds && profile.is_none() {
            credentials_in(&named)?;
        }
        let (region_there, endpoint_there) = match &profile {
            Some(profile) => (profile.region()?, profile.endpoint()?),
            None => (None, None),
        };

        let endpoint = match &settings.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => named("AWS_ENDPOINT_URL_S3")
                .or(named("AWS_ENDPOINT_URL"))
                .or(endpoint_there.as_deref())
                .map(|text| text.parse().map_err(|e| format!("AWS_ENDPOINT_URL: {e}")))
                .transpose()?,
        };
        let region = settings
            .region
            .as_deref()
            .or(named("AWS_REGION"))
            .or(named("AWS_DEFAULT_REGION"))
            .or(region_there.as_deref())
            .or(endpoint.is_some().then_some("us-east-1"))
            .ok_or("region is missing: on AWS, write the bucket's; elsewhere, write endpoint")?;
        let endpoint = match endpoint {
            Some(endpoint) => checked(endpoint)?,
            None => format!("https://s3.{region}.amazonaws.com")
                .parse()
                .map_err(|e| format!("region {region:?}: {e}"))?,
        };

        let address = endpoint.as_str().trim_end_matches('/').to_owned();
        let wire = match (endpoint.scheme(), is_loopback(&endpoint)) {
            ("http", true) => Wire::PlainOnLoopback,
            ("http", false) => Wire::Plain,
            _ => Wire::Tls,
        };
        let mut builder = AmazonS3Builder::new();
        let for_signing = |name: &&String| !profile::ENVIRONMENT.contains(&name.as_str());
        for (name, value) in environment.iter().filter(|(name, _)| for_signing(name)) {
            let key: AmazonS3ConfigKey = name
                .to_ascii_lowercase()
                .parse()
                .map_err(|e: object_store::Error| e.to_string())?;
            builder = builder.with_config(key, value);
        }
        builder = builder
            .with_bucket_name(bucket)
            .with_region(region)
            // Both: the second wins inside object_store, and may come from the environment.
            .with_endpoint(&address)
            .with_config(AmazonS3ConfigKey::S3Endpoint, &address)
            .with_allow_http(wire != Wire::Tls)
            .with_virtual_hosted_style_request(false)
            // These are for the credential services only.
            .with_client_options(ClientOptions::new().with_connect_timeout(Duration::from_secs(5)))
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 2,
                retry_timeout: Duration::from_secs(20),
            });
        Ok(Self {
            place: format!("s3://{bucket} at {address}"),
            server: endpoint[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            wire,
            aws: policy::Server::at(Some(&endpoint)) == policy::Server::Aws,
            profile,
            builder,
        })
    }
}

/// The bucket's name: the URL's host, and nothing else in it.
pub(crate) fn bucket(url: &Url) -> Result<&str, String> {
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.port().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    match url.host_str() {
        Some(bucket) if bare && !bucket.is_empty() => Ok(bucket),
        _ => Err("url holds more or less than a bucket: write s3://bucket".to_owned()),
    }
}

/// Whether it is this machine by its very name.
fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn checked(endpoint: Url) -> Result<Url, String> {
    if !matches!(endpoint.scheme(), "http" | "https") {
        return Err(format!(
            "endpoint is {}:, write https://host or https://host:port",
            endpoint.scheme()
        ));
    }
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return Err(
            "endpoint holds a user or password: write access_key and secret_key".to_owned(),
        );
    }
    if endpoint.query().is_some() || endpoint.fragment().is_some() {
        return Err("endpoint holds a ? or #: write https://host or https://host:port".to_owned());
    }
    Ok(endpoint)
}

/// Those that count and say something.
fn heeded(variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| {
            let known = |names: &[&str]| names.contains(&name.as_str());
            (known(&ENVIRONMENT) || known(&profile::ENVIRONMENT)) && !value.is_empty()
        })
        .collect()
}

/// Whether the environment itself has keys: they count before a profile's, as in AWS's own tools.
fn has_keys<'a>(named: &impl Fn(&str) -> Option<&'a str>) -> bool {
    named("AWS_ACCESS_KEY_ID").is_some() && named("AWS_SECRET_ACCESS_KEY").is_some()
}

/// Whether the environment names credentials. Without this, `object_store` would ask for EC2's
/// metadata service, for minutes, wherever this runs.
fn credentials_in<'a>(named: &impl Fn(&str) -> Option<&'a str>) -> Result<(), String> {
    let both = |a, b| named(a).is_some() && named(b).is_some();
    if has_keys(named)
        || both("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
        || named("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some()
        || both(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        )
    {
        Ok(())
    } else {
        Err(
            "no credentials: write access_key and secret_key, or set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role's variables; on EC2, write imds = true"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::aws::AmazonS3ConfigKey::{AccessKeyId, Endpoint, Region, S3Endpoint};

    use super::*;
    use crate::Keys;

    const KEYS: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "env-id"),
        ("AWS_SECRET_ACCESS_KEY", "env-secret"),
    ];

    fn settings(url: &str, endpoint: Option<&str>) -> Settings {
        Settings {
            url: url.parse().unwrap(),
            endpoint: endpoint.map(|e| e.parse().unwrap()),
            region: None,
            imds: false,
            keys: None,
        }
    }

    fn with_keys(settings: Settings) -> Settings {
        Settings {
            keys: Some(Arc::new(|| {
                Ok(Keys {
                    access_key: "own".into(),
                    secret_key: "own".into(),
                })
            })),
            ..settings
        }
    }

    fn target(settings: &Settings, variables: &[(&str, &str)]) -> Result<Target, String> {
        Target::from(
            settings,
            variables.iter().map(|(k, v)| (k.into(), v.into())),
        )
    }

    fn complaint(settings: &Settings, variables: &[(&str, &str)]) -> String {
        match target(settings, variables) {
            Ok(target) => panic!("accepted: {}", target.place),
            Err(said) => said,
        }
    }

    #[test]
    fn the_environment_never_overrides_an_endpoint_that_is_written() {
        let settings = settings("s3://inbox", Some("https://s3.example.com"));
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
            let variables = [
                KEYS[0],
                KEYS[1],
                (variable, "https://elsewhere.example.com"),
            ];
            let target = target(&settings, &variables).unwrap();
            assert_eq!(target.place, "s3://inbox at https://s3.example.com");
            for key in [Endpoint, S3Endpoint] {
                let value = target.builder.get_config_value(&key);
                assert_eq!(value.as_deref(), Some("https://s3.example.com"));
            }
        }
    }

    #[test]
    fn with_keys_of_its_own_the_environment_says_nothing() {
        let settings = with_keys(settings("s3://inbox", Some("http://127.0.0.1:9000")));
        let variables = [KEYS[0], KEYS[1], ("AWS_REGION", "eu-west-1")];
        let target = target(&settings, &variables).unwrap();
        assert_eq!(target.wire, Wire::PlainOnLoopback);
        assert_eq!(target.server, "127.0.0.1:9000");
        assert_eq!(target.builder.get_config_value(&AccessKeyId), None);
        let region = target.builder.get_config_value(&Region);
        assert_eq!(region.as_deref(), Some("us-east-1"));
    }

    #[test]
    fn without_keys_the_standard_environment_counts() {
        let variables = [
            KEYS[0],
            KEYS[1],
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_SKIP_SIGNATURE", "true"),
        ];
        let target = target(&settings("s3://inbox", None), &variables).unwrap();
        assert_eq!(
            target.place,
            "s3://inbox at https://s3.eu-central-1.amazonaws.com"
        );
        let id = target.builder.get_config_value(&AccessKeyId);
        assert_eq!(id.as_deref(), Some("env-id"));
        let unsigned = target
            .builder
            .get_config_value(&AmazonS3ConfigKey::SkipSignature);
        assert_eq!(unsigned.as_deref(), Some("false"));
    }

    #[test]
    fn no_credentials_at_all_fail_at_once() {
        let mut settings = settings("s3://inbox", Some("https://s3.example.com"));
        assert!(complaint(&settings, &[]).starts_with("no credentials: write access_key"));
        // Half of a pair is none.
        assert!(complaint(&settings, &KEYS[..1]).starts_with("no credentials"));
        let role = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ];
        assert!(target(&settings, &role).is_ok());
        settings.imds = true;
        assert!(target(&settings, &[]).is_ok());
    }

    #[test]
    fn a_profile_counts_where_there_are_no_keys_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        let config =
            "[profile reports]\nregion = eu-central-1\nendpoint_url = https://s3.example.com\n";
        std::fs::write(folder.path().join(".aws/config"), config).unwrap();
        let profile = [("AWS_PROFILE", "reports"), ("HOME", home)];

        let from_profile = target(&settings("s3://inbox", None), &profile).unwrap();
        assert!(from_profile.profile.is_some());
        assert_eq!(from_profile.place, "s3://inbox at https://s3.example.com");
        let region = from_profile.builder.get_config_value(&Region);
        assert_eq!(region.as_deref(), Some("eu-central-1"));

        let own = with_keys(settings("s3://inbox", Some("https://own.example.com")));
        assert_eq!(target(&own, &profile).unwrap().profile, None);
        let both = [
            profile[0],
            profile[1],
            KEYS[0],
            KEYS[1],
            ("AWS_REGION", "eu-west-1"),
        ];
        let with_env = target(&settings("s3://inbox", None), &both).unwrap();
        assert_eq!(with_env.profile, None);
        assert_eq!(
            with_env.place,
            "s3://inbox at https://s3.eu-west-1.amazonaws.com"
        );
        let nobody = [("AWS_PROFILE", "nobody"), profile[1]];
        let said = complaint(&settings("s3://inbox", None), &nobody);
        assert!(said.starts_with("profile \"nobody\": neither "), "{said}");
    }

    #[test]
    fn what_can_not_work_is_refused_with_a_sentence() {
        let cases = [
            (
                "s3://inbox/folder",
                Some("https://h"),
                "url holds more or less than a bucket",
            ),
            (
                "s3://user@inbox",
                Some("https://h"),
                "url holds more or less than a bucket",
            ),
            ("s3://inbox", None, "region is missing"),
            ("s3://inbox", Some("ftp://h"), "endpoint is ftp:"),
            (
                "s3://inbox",
                Some("https://me:pass@h"),
                "endpoint holds a user or password",
            ),
            (
                "s3://inbox",
                Some("https://h/?a=b"),
                "endpoint holds a ? or #",
            ),
        ];
        for (url, endpoint, sentence) in cases {
            let said = complaint(&with_keys(settings(url, endpoint)), &[]);
            assert!(said.starts_with(sentence), "{url} {endpoint:?}: {said}");
            assert!(!said.contains("pass@"), "{said}");
        }
    }
}
