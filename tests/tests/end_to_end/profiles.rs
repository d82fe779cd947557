//! Keys that AWS's own tools keep, or give, instead of those in the configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use nightdrop_compose::{Keys, Postgres};

use crate::message::departures;
use crate::process::Process;
use crate::site::{PATIENCE, Site, on_each, on_one, until};

/// A program with a profile, and a configuration that has no keys, region or server of its own.
fn of(site: &Site, profile: &str, program: &str, config: &Path) -> Command {
    let text = std::fs::read_to_string(config).unwrap();
    let (named, ours) = text.split_once("region = ").unwrap();
    let named = named.rsplit_once("endpoint = ").unwrap().0;
    let mut rest = ours.split('\n').skip(1);
    assert!(rest.next().unwrap().starts_with("access_key"));
    assert!(rest.next().unwrap().starts_with("secret_key"));
    let bare = config.with_extension("bare.toml");
    std::fs::write(
        &bare,
        named.to_owned() + &rest.collect::<Vec<_>>().join("\n"),
    )
    .unwrap();

    let (shared, credentials) = files(site);
    let mut command = Command::new(nightdrop_compose::binary(program).unwrap());
    command
        .arg("-c")
        .arg(bare)
        .env("AWS_PROFILE", profile)
        .env("AWS_CONFIG_FILE", shared)
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials);
    for variable in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
    ] {
        command.env_remove(variable);
    }
    command
}

fn files(site: &Site) -> (PathBuf, PathBuf) {
    let folder = site.folder.path();
    (folder.join("aws-config"), folder.join("aws-credentials"))
}

/// A profile `jfk` with its keys, `reader` with a command that gives them, and `role`, which has to ask AWS for some.
fn write(site: &Site) {
    let (config, credentials) = files(site);
    let (region, endpoint) = (&site.inbox.region, &site.inbox.endpoint);
    let there = format!("region = {region}\nendpoint_url = {endpoint}\n");
    let text = format!(
        "[profile jfk]\n{there}\n[profile reader]\n{there}credential_process = cat {}\n\n\
         [profile role]\n{there}role_arn = arn:aws:iam::1:role/reader\nsource_profile = jfk\n",
        given(site).display()
    );
    std::fs::write(config, text).unwrap();
    let keys = site.keys_of("jfk");
    let text = format!(
        "[other]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n\n\
         [jfk]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        keys.access_key, keys.secret_key
    );
    std::fs::write(credentials, text).unwrap();
}

fn given(site: &Site) -> PathBuf {
    site.folder.path().join("given.json")
}

/// From now on the command gives these.
fn give(site: &Site, keys: &Keys) {
    let text = serde_json::json!({
        "Version": 1, "AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let new = given(site).with_extension("new");
    std::fs::write(&new, text.to_string()).unwrap();
    std::fs::rename(new, given(site)).unwrap();
}

#[test]
fn a_result_is_put_and_loaded_with_the_keys_of_profiles() {
    on_each(|site| {
        write(&site);
        give(&site, &site.inbox.reader());
        let source = Postgres::shared().unwrap().database().unwrap();
        let job = "[job.ones]\nsource = \"db\"\nquery = \"SELECT 1 AS one\"\nmode = \"append\"\n";
        let config = site.producer_config("jfk", &source, "none", job);
        let mut put = of(&site, "jfk", "nightdrop-producer", &config);
        let ended = Process::spawn(put.args(["run", "ones"])).wait(PATIENCE);
        assert_eq!(ended.code, Some(0), "{ended:?}");

        let mut load = of(&site, "reader", "nightdrop-consumer", &site.config());
        let ended = Process::spawn(load.arg("once")).wait(PATIENCE);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(site.rows("SELECT one FROM jfk.ones"), ["1"]);
    });
}

#[test]
fn a_profile_that_this_can_not_use_says_what_to_do() {
    on_one(|site| {
        write(&site);
        let mut load = of(&site, "role", "nightdrop-consumer", &site.config());
        let ended = Process::spawn(load.arg("once")).wait(PATIENCE);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        let sentence = "aws configure export-credentials --profile role";
        assert!(ended.stderr.contains(sentence), "{ended:?}");
    });
}

#[test]
fn keys_that_are_refused_are_asked_for_again_however_long_they_are_good() {
    on_one(|site| {
        write(&site);
        give(
            &site,
            &Keys {
                access_key: "withdrawn".to_owned(),
                secret_key: "withdrawn-secret".to_owned(),
            },
        );
        site.drop(&departures("2013-01-31T05:00:00Z"));
        let mut load = of(&site, "reader", "nightdrop-consumer", &site.config());
        let consumer = Process::spawn(load.arg("run"));
        until("the keys are refused", || {
            consumer.log().contains("can't be used")
        });
        give(&site, &site.inbox.reader());
        site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
        consumer.kill();
    });
}
