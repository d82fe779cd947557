use std::os::unix::fs::PermissionsExt;

use super::*;

fn spool(folder: &tempfile::TempDir) -> Spool {
    Spool::new("jfk".parse().unwrap(), folder.path().join("state"))
}

fn job() -> Job {
    "departures".parse().unwrap()
}

fn key(time: &str) -> Key {
    format!("inbox/jfk/departures/{time}-{}.json", Uuid::now_v7())
        .parse()
        .unwrap()
}

fn commit(turn: &Turn, key: &Key, content: &[u8]) -> Entry {
    let mut draft = turn.draft(Compression::None).unwrap();
    draft.write_all(content).unwrap();
    draft.commit(key).unwrap()
}

#[test]
fn a_draft_is_no_entry_before_it_is_committed_and_nothing_if_it_never_is() {
    let folder = tempfile::tempdir().unwrap();
    let turn = spool(&folder).lock(&job()).unwrap();
    let mut draft = turn.draft(Compression::None).unwrap();
    draft.write_all(b"half").unwrap();
    assert_eq!(names(&turn.folder).unwrap().len(), 1);
    assert_eq!(turn.entries().unwrap(), []);
    drop(draft);
    assert_eq!(names(&turn.folder).unwrap(), [""; 0]);
}

#[test]
fn an_entry_holds_what_was_written_under_its_key_s_name() {
    let folder = tempfile::tempdir().unwrap();
    let turn = spool(&folder).lock(&job()).unwrap();
    let key = key("20130131T050000Z");
    let entry = commit(&turn, &key, b"whole");
    assert_eq!(turn.entries().unwrap(), std::slice::from_ref(&entry));
    assert_eq!(fs::read(&entry.path).unwrap(), b"whole");
    assert_eq!(entry.size, 5);
    assert_eq!(entry.key, key);
}

#[test]
fn what_a_run_that_died_left_half_written_is_removed_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let turn = spool.lock(&job()).unwrap();
    let entry = commit(&turn, &key("20130131T050000Z"), b"whole");
    // As a kill leaves it: no destructor runs.
    std::mem::forget(turn.draft(Compression::Zstd).unwrap());
    drop(turn);

    let turn = spool.lock(&job()).unwrap();
    assert_eq!(turn.entries().unwrap(), [entry]);
    assert_eq!(names(&turn.folder).unwrap().len(), 1);
}

#[test]
fn entries_come_oldest_first_and_strange_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let turn = spool(&folder).lock(&job()).unwrap();
    let keys = ["20130131T060000Z", "20121231T235959Z", "20130131T050000Z"].map(key);
    for key in &keys {
        commit(&turn, key, b"x");
    }
    fs::write(turn.folder.join("notes.txt"), "mine").unwrap();
    let found: Vec<Key> = turn
        .entries()
        .unwrap()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(found, [keys[1].clone(), keys[2].clone(), keys[0].clone()]);
    assert!(turn.folder.join("notes.txt").exists());
}

#[test]
fn two_runs_of_one_job_never_overlap_and_those_of_two_jobs_may() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    let turn = spool.lock(&job()).unwrap();
    let error = spool.lock(&job()).unwrap_err();
    assert_eq!(error.code(), Code::TempFail);
    assert!(
        error
            .to_string()
            .ends_with("/state/lock/departures.lock; wait until it ends"),
        "{error}"
    );
    spool.lock(&"arrivals".parse().unwrap()).unwrap();
    drop(turn);
    spool.lock(&job()).unwrap();
}

#[test]
fn results_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let turn = spool(&folder).lock(&job()).unwrap();
    let entry = commit(&turn, &key("20130131T050000Z"), b"x");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&entry.path), 0o600);
    assert_eq!(mode(&turn.folder), 0o700);
}

#[test]
fn a_state_folder_that_is_none_ends_with_73() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state"), "a file").unwrap();
    let error = spool(&folder).lock(&job()).unwrap_err();
    assert_eq!(error.code(), Code::CantCreate);
}

#[test]
fn a_state_folder_is_one_producers() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let job = "departures".parse().unwrap();
    drop(
        Spool::new("jfk".parse().unwrap(), &state)
            .lock(&job)
            .unwrap(),
    );
    drop(
        Spool::new("jfk".parse().unwrap(), &state)
            .lock(&job)
            .unwrap(),
    );
    let error = Spool::new("lga".parse().unwrap(), &state)
        .lock(&job)
        .unwrap_err();
    assert_eq!(error.code(), Code::CantCreate);
    assert!(
        error
            .to_string()
            .ends_with("is jfk's, not lga's; give each producer a state_dir of its own"),
        "{error}"
    );
}

/// A folder of somebody else's: whoever root isn't, or root's, for whoever is not root.
fn of_another_user(folder: &tempfile::TempDir) -> PathBuf {
    if !rustix::process::geteuid().is_root() {
        return PathBuf::from("/etc");
    }
    let path = folder.path().join("state");
    fs::create_dir(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    path
}

#[test]
fn a_state_folder_of_another_user_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_another_user(&folder);
    let count = || names(&path).unwrap().len();
    let (before, spool) = (count(), Spool::new("jfk".parse().unwrap(), &path));
    for error in [
        spool.lock(&job()).unwrap_err(),
        spool.try_out().unwrap_err(),
        spool.nameless().unwrap_err(),
    ] {
        assert!(matches!(error, Error::OtherUser { .. }), "{error}");
        assert_eq!(error.code(), Code::CantCreate);
    }
    assert_eq!(count(), before, "nothing was made in it");
}

#[test]
fn what_another_user_has_left_in_a_state_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(&folder);
    drop(spool.lock(&job()).unwrap());
    spool.try_out().unwrap();
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give a file away.
        return;
    }
    let lock = folder.path().join("state/lock/departures.lock");
    std::os::unix::fs::chown(&lock, Some(65534), None).unwrap();
    for error in [
        spool.lock(&job()).unwrap_err(),
        spool.try_out().unwrap_err(),
    ] {
        let named = lock.display().to_string();
        assert!(error.to_string().starts_with(&named), "{error}");
    }
    spool.lock(&"weather".parse().unwrap()).unwrap();
}
