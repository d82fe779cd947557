//! The rights that the two sides need and no more, as the policies that S3 servers take.
//!
//! A producer may put below its own prefix, once under each key, and in no form that its reader could
//! not open; a consumer may list, get and delete below `inbox/`. Why the resource ends in `*/*.json*`:
//! an object named like a folder (`inbox/jfk/departures`) hides all that is below it on some servers.

use std::collections::BTreeMap;
use std::str::FromStr;

use nightdrop_schema::Producer;
use serde::Serialize;
use url::Url;

use crate::{Settings, s3};

/// Whose dialect a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// AWS, which can refuse a PUT that is not create-only.
    Aws,
    /// MinIO and servers that took its dialect, SeaweedFS among them: what they don't know
    /// (`s3:if-none-match`, `…IfExists`) is left out. SeaweedFS asks no condition of a PUT.
    Minio,
}

impl Server {
    /// As the command line writes them.
    pub const NAMES: [&str; 2] = ["aws", "minio"];

    /// What answers at an endpoint: AWS where none is written, or one of its own.
    pub fn at(endpoint: Option<&Url>) -> Self {
        let host = endpoint.and_then(Url::host_str);
        let ends = |domain| host.is_some_and(|host: &str| host.ends_with(domain));
        if endpoint.is_none() || ends(".amazonaws.com") || ends(".amazonaws.com.cn") {
            Self::Aws
        } else {
            Self::Minio
        }
    }
}

impl FromStr for Server {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "aws" => Ok(Self::Aws),
            "minio" => Ok(Self::Minio),
            other => Err(Error::Server(other.to_owned())),
        }
    }
}

/// Why there is no policy to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A bucket on disk.
    #[error(
        "the bucket is a folder: who may write and read there is a matter of its owner, group and mode"
    )]
    Folder,
    /// A URL that names no bucket.
    #[error("[bucket] {0}")]
    Url(String),
    /// A name that is none.
    #[error("{0} is no server whose policies are known; write aws or minio")]
    Server(String),
    /// MinIO's and SeaweedFS's bucket policies are about requests without keys.
    #[error(
        "only AWS asks the bucket's own policy about users who have keys; here the users' policies are all there is, \
         and create-only can't be enforced"
    )]
    NoBucketPolicy,
}

/// One bucket, whose rights are given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    bucket: String,
    partition: &'static str,
    server: Server,
}

impl Rights {
    /// The rights in the bucket that is meant by `settings`, on the server that `server` names, or
    /// else on what its endpoint looks like.
    ///
    /// # Errors
    /// It is no bucket on an S3 server.
    pub fn of(settings: &Settings, server: Option<Server>) -> Result<Self, Error> {
        match settings.url.scheme() {
            "s3" => Ok(Self {
                bucket: s3::bucket(&settings.url).map_err(Error::Url)?.to_owned(),
                partition: partition(settings.region.as_deref().unwrap_or_default()),
                server: server.unwrap_or_else(|| Server::at(settings.endpoint.as_ref())),
            }),
            "file" => Err(Error::Folder),
            other => Err(Error::Url(format!(
                "url is {other}:, write s3://bucket or file:///folder"
            ))),
        }
    }

    /// What `producer` may do.
    pub fn producer(&self, producer: &Producer) -> String {
        written(vec![Statement {
            sid: "PutResultsOfItsOwn",
            effect: "Allow",
            principal: None,
            action: vec!["s3:PutObject"],
            resource: vec![self.arn(&format!("/inbox/{producer}/*/*.json*"))],
            condition: Some(self.plain_and_once()),
        }])
    }

    /// A PUT that creates, of an object that the bucket's reader can get at once and open.
    fn plain_and_once(&self) -> Condition {
        let mut null = BTreeMap::from([(ENCRYPTION, "true"), (CUSTOMER_KEY, "true")]);
        match self.server {
            Server::Aws => {
                null.insert(CREATE_ONLY, "false");
                let standard = BTreeMap::from([(STORAGE_CLASS, "STANDARD")]);
                Condition::from([("Null", null), ("StringEqualsIfExists", standard)])
            }
            Server::Minio => {
                null.insert(STORAGE_CLASS, "true");
                Condition::from([("Null", null)])
            }
        }
    }

    /// What the consumer may do.
    pub fn consumer(&self) -> String {
        written(vec![
            Statement {
                sid: "ListTheInbox",
                effect: "Allow",
                principal: None,
                action: vec!["s3:ListBucket"],
                resource: vec![self.arn("")],
                condition: Some(Condition::from([(
                    "StringLike",
                    BTreeMap::from([("s3:prefix", "inbox/*")]),
                )])),
            },
            Statement {
                sid: "GetAndDeleteResults",
                effect: "Allow",
                principal: None,
                action: vec!["s3:GetObject", "s3:DeleteObject"],
                resource: vec![self.arn("/inbox/*")],
                condition: None,
            },
        ])
    }

    /// What the bucket itself refuses to everyone, whatever policies they have. A multipart upload is not
    /// create-only before its last request, and is refused at its first.
    ///
    /// # Errors
    /// The server has no such thing.
    pub fn bucket(&self) -> Result<String, Error> {
        if self.server == Server::Minio {
            return Err(Error::NoBucketPolicy);
        }
        let one =
            |operator, key, value| Condition::from([(operator, BTreeMap::from([(key, value)]))]);
        Ok(written(vec![
            Statement {
                action: vec!["s3:*"],
                resource: vec![self.arn(""), self.arn("/*")],
                ..self.refused(
                    "EncryptedOnTheWay",
                    one("Bool", "aws:SecureTransport", "false"),
                )
            },
            self.refused("CreateOnly", one("Null", CREATE_ONLY, "true")),
            self.refused("NoKeysOfOthers", one("Null", CUSTOMER_KEY, "false")),
            self.refused(
                "NothingInAnArchive",
                // A condition that says "not equal" holds, too, where nothing is said.
                Condition::from([
                    ("Null", BTreeMap::from([(STORAGE_CLASS, "false")])),
                    (
                        "StringNotEquals",
                        BTreeMap::from([(STORAGE_CLASS, "STANDARD")]),
                    ),
                ]),
            ),
        ]))
    }

    /// No PUT below `inbox/` where the condition holds.
    fn refused(&self, sid: &'static str, condition: Condition) -> Statement {
        Statement {
            sid,
            effect: "Deny",
            principal: Some("*"),
            action: vec!["s3:PutObject"],
            resource: vec![self.arn("/inbox/*")],
            condition: Some(condition),
        }
    }

    fn arn(&self, rest: &str) -> String {
        format!("arn:{}:s3:::{}{rest}", self.partition, self.bucket)
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html>
const CREATE_ONLY: &str = "s3:if-none-match";

/// An archive's object is refused to a GET for hours.
const STORAGE_CLASS: &str = "s3:x-amz-storage-class";

/// With a key of KMS's that the producer chooses: the reader may have no right to it.
const ENCRYPTION: &str = "s3:x-amz-server-side-encryption";

/// With a key that the producer sends along (SSE-C), and the reader doesn't have.
const CUSTOMER_KEY: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

/// AWS's name for the group of regions that a region is in.
fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("eusc") => "aws-eusc",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

type Condition = BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'static str>,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

fn written(statement: Vec<Statement>) -> String {
    let document = Document {
        version: "2012-10-17",
        statement,
    };
    // Plain text in plain structures: there is nothing in it that JSON could not say.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(endpoint: Option<&str>, region: &str) -> Rights {
        let settings = Settings {
            url: "s3://reports-inbox".parse().unwrap(),
            endpoint: endpoint.map(|endpoint| endpoint.parse().unwrap()),
            region: Some(region.to_owned()),
            imds: false,
            keys: None,
        };
        Rights::of(&settings, None).unwrap()
    }

    #[test]
    fn on_aws_a_producer_may_put_once_and_in_no_form_that_its_reader_could_not_open() {
        let aws = rights(None, "eu-central-1");
        insta::assert_snapshot!(aws.producer(&"jfk".parse().unwrap()));
    }

    #[test]
    fn on_minio_what_it_does_not_know_is_left_out() {
        let minio = rights(Some("https://minio.example.com:9000"), "us-east-1");
        insta::assert_snapshot!(minio.producer(&"jfk".parse().unwrap()));
    }

    #[test]
    fn a_consumer_may_list_get_and_delete_below_the_inbox() {
        let aws = rights(
            Some("https://s3.eu-central-1.amazonaws.com"),
            "eu-central-1",
        );
        let minio = rights(Some("http://127.0.0.1:9000"), "us-east-1");
        assert_eq!(aws.consumer(), minio.consumer());
        insta::assert_snapshot!(aws.consumer());
    }

    #[test]
    fn the_bucket_itself_refuses_what_no_policy_of_a_user_can_give() {
        insta::assert_snapshot!(rights(None, "eu-central-1").bucket().unwrap());
        let minio = rights(Some("http://127.0.0.1:9000"), "us-east-1");
        assert_eq!(minio.bucket(), Err(Error::NoBucketPolicy));
    }

    #[test]
    fn an_arn_is_of_the_partition_that_its_region_is_in() {
        for (region, arn) in [
            ("eu-central-1", "arn:aws:s3:::reports-inbox"),
            ("us-gov-west-1", "arn:aws-us-gov:s3:::reports-inbox"),
            ("cn-north-1", "arn:aws-cn:s3:::reports-inbox"),
            ("eusc-de-east-1", "arn:aws-eusc:s3:::reports-inbox"),
        ] {
            assert_eq!(rights(None, region).arn(""), arn);
        }
    }

    #[test]
    fn a_folder_has_no_policy() {
        let settings = Settings {
            url: "file:///srv/drop".parse().unwrap(),
            endpoint: None,
            region: None,
            imds: false,
            keys: None,
        };
        assert_eq!(Rights::of(&settings, None), Err(Error::Folder));
    }
}
