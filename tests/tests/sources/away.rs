//! A cursor job's nights when something is not there, or not as it was: the bucket, the state folder.

use std::fs;

use nightdrop_compose::{S3, S3Kind};

use crate::bucket::{bucket, reader, with_keys};
use crate::incremental::{Incremental, START, account, whole};
use crate::message::Message;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_while_the_bucket_was_away_arrives_whole_and_in_order() {
    for kind in S3Kind::available() {
        let inbox = S3::shared(kind).unwrap().inbox().unwrap();
        let mut job = Incremental::new().await;
        // Nobody listens on port 1.
        let bucket = |endpoint: &str| format!("{}\ncompress = \"none\"", bucket(&inbox, endpoint));
        job.site = job.site.dropping(&bucket("http://127.0.0.1:1"));
        with_keys(&mut job.site, &inbox.producer("jfk").unwrap());
        let mut words = vec!["run", "job", "--start", START];
        for waiting in 1..=3 {
            let ended = job.run(&words);
            assert_eq!(ended.code, Some(74), "{kind:?}: {}", ended.stderr);
            assert_eq!(job.site.files("state/spool").len(), waiting);
            words.truncate(2);
            job.grow().await;
        }
        let spooled = job.site.files("state/spool");

        job.site = job.site.dropping(&bucket(&inbox.endpoint));
        job.go_on();
        assert!(job.site.files("state/spool").is_empty());
        let bucket = reader(&inbox);
        let objects = bucket.list("inbox/", None).await.unwrap().objects;
        assert_eq!(objects.len(), spooled.len() + 1, "{kind:?}");
        // Oldest first, as they lay there.
        let mut arrived = objects.clone();
        arrived.sort_by_key(|object| object.modified);
        assert_eq!(arrived, objects, "{kind:?}");

        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for object in &objects {
            let bytes = bucket.get(&object.key, &object.etag).await.unwrap();
            files.push(folder.path().join(object.key.run().to_string()));
            fs::write(files.last().unwrap(), bytes).unwrap();
        }
        let results = account(&files);
        let rows = results.iter().flat_map(|(_, _, ids)| ids).max();
        whole(&results, *rows.unwrap());
    }
}

/// Nothing here can tell that a whole machine went back in time. The consumer can: it has the same run with other
/// content, which it parks with an alarm.
#[tokio::test]
async fn a_state_folder_that_went_back_in_time_repeats_the_run_s_id() {
    let mut job = Incremental::new().await;
    job.catch_up();
    let file = job.site.folder.path().join("state/watermark/job.json");
    let snapshot = fs::read(&file).unwrap();
    let run_ids = |job: &Incremental| {
        let files = job.site.files("box");
        let ids: Vec<_> = files
            .iter()
            .map(|file| Message::read(file).envelope.id)
            .collect();
        for file in files {
            fs::remove_file(file).unwrap();
        }
        ids
    };
    run_ids(&job);
    job.grow().await;
    job.go_on();
    let first = run_ids(&job);

    fs::write(&file, snapshot).unwrap();
    job.grow().await;
    job.go_on();
    assert_eq!(run_ids(&job), first);
    job.go_on();
    assert_ne!(run_ids(&job), first);
}
