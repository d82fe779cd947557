//! Whose the state folder is. Root may write in anybody's, and what it makes there is root's: from then on whoever
//! cron starts is shut out of that job. So nobody works in another user's folder.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::Path};

use super::Error;

/// Who a file belongs to, or who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    uid: u32,
    /// In a container most have none.
    name: Option<String>,
}

impl User {
    fn of(uid: u32) -> Self {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self {
            uid,
            name: name(&passwd, uid),
        }
    }

    fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// What a command is begun with to be this user's.
    fn run_as(&self, by: &Self) -> String {
        match (&self.name, by.is_root()) {
            (Some(name), true) => format!("runuser -u {name} -- …"),
            (Some(name), false) => format!("sudo -u {name} …"),
            (None, _) => format!("sudo -u '#{}' …", self.uid),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

/// The first field of the line that has this number in its third.
fn name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// What is to be done where a file in `state_dir` is not ours.
pub(super) fn remedy(path: &Path, state_dir: &Path, theirs: &User, ours: &User) -> String {
    // An owner who finds what somebody else has left there, or a folder that root has made for who runs.
    if !ours.is_root() && (path != state_dir || theirs.is_root()) {
        let owner = ours.name.clone().unwrap_or_else(|| ours.uid.to_string());
        return format!("give it back: chown -R {owner} {}", state_dir.display());
    }
    format!("run it as its owner: {}", theirs.run_as(ours))
}

/// That each of these is the user's who runs, as far as it is there.
pub(super) fn are_ours<'a>(
    state_dir: &Path,
    paths: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Error> {
    let ours = rustix::process::geteuid();
    for path in paths {
        // What can't be looked at says so when it is used.
        let Ok(found) = path.metadata() else {
            continue;
        };
        // Kubernetes' fsGroup: a volume is root's, and the pod's user may write in it by its group.
        let shared = found.mode() & 0o022 != 0 && !ours.is_root();
        if found.uid() == ours.as_raw() || shared {
            continue;
        }
        return Err(Error::OtherUser {
            path: path.to_path_buf(),
            state_dir: state_dir.to_path_buf(),
            theirs: User::of(found.uid()),
            ours: User::of(ours.as_raw()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nnightdrop:x:998:998::/:/usr/sbin/nologin\n";

    fn user(uid: u32) -> User {
        User {
            uid,
            name: name(PASSWD, uid),
        }
    }

    #[test]
    fn a_user_is_named_and_one_without_a_name_has_a_number() {
        assert_eq!(user(998).to_string(), "nightdrop");
        assert_eq!(user(65532).to_string(), "uid 65532");
    }

    #[test]
    fn root_is_told_how_to_be_the_owner_and_an_owner_how_to_have_it_back() {
        let dir = Path::new("/var/lib/nightdrop/jfk");
        let lock = dir.join("lock/departures.lock");
        let said = |path: &Path, theirs, ours| remedy(path, dir, &user(theirs), &user(ours));
        assert_eq!(
            said(dir, 998, 0),
            "run it as its owner: runuser -u nightdrop -- …"
        );
        assert_eq!(
            said(dir, 65532, 0),
            "run it as its owner: sudo -u '#65532' …"
        );
        assert_eq!(
            said(dir, 998, 1000),
            "run it as its owner: sudo -u nightdrop …"
        );
        for path in [dir, &lock] {
            assert_eq!(
                said(path, 0, 998),
                "give it back: chown -R nightdrop /var/lib/nightdrop/jfk"
            );
        }
    }
}
