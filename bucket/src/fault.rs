//! What a failure means. Everything that can go wrong on the way to a bucket is decided here, once:
//! an HTTP status with S3's error code, an HTTP client's error, a signer's, the system's.

use std::{error::Error as StdError, fmt, io};

use object_store::client::{HttpError, HttpErrorKind};

/// What kind of failure it is: what a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nobody answered, or the connection broke. Whether a PUT landed is not known.
    Unreachable,
    /// An answer, or the next piece of one, took too long. Whether a PUT landed is not known.
    TimedOut,
    /// The server is there but can't now: 429, 5xx, 409 (AWS says to retry it), or the bytes
    /// arrived damaged.
    Busy,
    /// The server does not know these keys, or the signature is wrong.
    Unauthenticated,
    /// The server knows these keys, and they don't have the right.
    Forbidden,
    /// The object is gone.
    NotFound,
    /// There is another object under this key than the one that was listed.
    Changed,
    /// There is no such bucket or folder.
    NoBucket,
    /// The server refuses this request, and would again: any other 4xx, 501.
    Refused,
    /// What is configured can't work: keys that can't be read, a wrong region, an endpoint that is
    /// no S3 server, a clock that is wrong.
    Settings,
    /// The local disk.
    Io,
}

impl Fault {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::TimedOut,
        Self::Busy,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Changed,
        Self::NoBucket,
        Self::Refused,
        Self::Settings,
        Self::Io,
    ];

    /// Its name, for a log or a metric: `timed_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Changed => "changed",
            Self::NoBucket => "no_bucket",
            Self::Refused => "refused",
            Self::Settings => "settings",
            Self::Io => "io",
        }
    }

    /// What an answer that is no success means. `code` is the one in S3's error document
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>), `None` where there
    /// is no such document, so that it may be no S3 server that answers.
    ///
    /// The code goes first: servers agree on codes more than on the status that carries them.
    pub(crate) fn of_answer(status: u16, code: Option<&str>) -> Self {
        match code {
            Some(
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken"
                | "TokenRefreshRequired"
                | "InvalidSecurity"
                | "NotSignedUp"
                | "MissingSecurityHeader"
                | "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "ExpiredTokenException",
            ) => return Self::Unauthenticated,
            Some(
                "AuthorizationHeaderMalformed"
                | "AuthorizationQueryParametersError"
                | "PermanentRedirect"
                | "TemporaryRedirect"
                | "InvalidBucketName"
                | "IllegalLocationConstraintException"
                | "RequestTimeTooSkewed",
            ) => return Self::Settings,
            Some("AccessDenied" | "AllAccessDisabled" | "AccountProblem") => {
                return Self::Forbidden;
            }
            Some("NoSuchBucket") => return Self::NoBucket,
            Some("NoSuchKey" | "NoSuchVersion") => return Self::NotFound,
            Some("PreconditionFailed") => return Self::Changed,
            Some("RequestTimeout") => return Self::TimedOut,
            Some(
                "SlowDown"
                | "ServiceUnavailable"
                | "InternalError"
                | "ConditionalRequestConflict"
                | "OperationAborted"
                | "BadDigest"
                | "IncompleteBody"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch",
            ) => return Self::Busy,
            // An archived object: the status says 403, but rights have nothing to do with it.
            Some("InvalidObjectState" | "NotImplemented") => return Self::Refused,
            _ => {}
        }
        match (status, code) {
            (401, _) => Self::Unauthenticated,
            (403, _) => Self::Forbidden,
            (408, _) => Self::TimedOut,
            (412, _) => Self::Changed,
            (501, _) => Self::Refused,
            (409 | 425 | 429 | 500.., _) => Self::Busy,
            // A 404 that does not say what is missing is no proof that an object is gone. Neither
            // a redirect nor a success without S3's document comes from an S3 server that is
            // rightly addressed.
            (404, None) | (..400, _) => Self::Settings,
            (400.., _) => Self::Refused,
        }
    }

    /// What it means that there was no answer at all, or not all of it.
    pub(crate) fn of_transport(error: &reqwest::Error) -> Self {
        if chain(error).any(<dyn StdError>::is::<Local>) {
            Self::Io
        } else if error.is_connect() {
            Self::Unreachable
        } else if error.is_timeout() {
            Self::TimedOut
        } else if error.is_builder() {
            Self::Settings
        } else {
            Self::Unreachable
        }
    }

    /// What it means that no signature could be made: the credentials could not be had.
    pub(crate) fn of_signer(error: &object_store::Error) -> Self {
        if chain(error).any(<dyn StdError>::is::<NoKeys>) {
            return Self::Settings;
        }
        let transport = chain(error).find_map(|e| e.downcast_ref::<HttpError>());
        match transport.map(HttpError::kind) {
            Some(HttpErrorKind::Timeout) => Self::TimedOut,
            Some(_) => Self::Unreachable,
            None => match error {
                object_store::Error::Unauthenticated { .. }
                | object_store::Error::PermissionDenied { .. } => Self::Unauthenticated,
                _ => Self::Settings,
            },
        }
    }

    /// What an error of the system about something in a `file://` bucket means.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Forbidden,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Marks that it was the file being sent that failed, not the way to the server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Local(pub(crate) io::Error);

/// Marks that it was our own keys that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoKeys(pub(crate) String);

/// An error and all that are behind it.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

/// The last word of an error: what is behind all that wraps it. A client's own error would show the
/// URL, and a presigned URL holds a signature.
pub(crate) fn root(error: &(dyn StdError + 'static)) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_a_name_of_its_own() {
        let mut names = Fault::ALL.map(Fault::as_str);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }

    #[test]
    fn any_status_has_a_fault_that_fits_its_class() {
        for status in 100..1000 {
            for code in [None, Some("SomethingNew")] {
                let fault = Fault::of_answer(status, code);
                match status {
                    ..400 => assert_eq!(fault, Fault::Settings),
                    501 => assert_eq!(fault, Fault::Refused),
                    500.. => assert_eq!(fault, Fault::Busy),
                    _ => assert!(
                        !matches!(fault, Fault::NotFound | Fault::Io),
                        "{status} {fault}"
                    ),
                }
            }
        }
    }

    #[test]
    fn a_full_disk_is_io_and_a_lack_of_rights_is_not() {
        for (kind, fault) in [
            (io::ErrorKind::StorageFull, Fault::Io),
            (io::ErrorKind::PermissionDenied, Fault::Forbidden),
            (io::ErrorKind::NotFound, Fault::NotFound),
        ] {
            assert_eq!(Fault::of_io(&kind.into()), fault);
        }
    }
}
