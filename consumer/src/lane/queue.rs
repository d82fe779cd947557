//! In which order the files of a batch are fetched: always one of the producer, and of its job, that has
//! taken up the least memory so far. Where memory ends before the files do, what is given back is that of
//! those with large results.

use std::collections::{BTreeMap, VecDeque};

use nightdrop_schema::{Job, Producer};

use crate::ledger::claim::File;

/// The files that are still to be fetched.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: BTreeMap<(Producer, Job), Waiting>,
    /// Bytes by producer: of rows for files that are there, as stored for those under way.
    producers: BTreeMap<Producer, u64>,
}

#[derive(Debug, Default)]
struct Waiting {
    files: VecDeque<File>,
    bytes: u64,
}

impl Queue {
    /// All of these, those of one job in this order.
    pub(super) fn new(files: &[File]) -> Self {
        let mut queue = Self::default();
        for file in files {
            let waiting = queue.jobs.entry(whose(file)).or_default();
            waiting.files.push_back(file.clone());
            queue
                .producers
                .entry(file.key.producer().clone())
                .or_default();
        }
        queue
    }

    /// The next to fetch.
    pub(super) fn next(&mut self) -> Option<File> {
        let bytes = |producer| self.producers.get(producer).copied().unwrap_or_default();
        let (_, waiting) = self
            .jobs
            .iter_mut()
            .filter(|(_, waiting)| !waiting.files.is_empty())
            .min_by_key(|((producer, _), waiting)| (bytes(producer), waiting.bytes))?;
        let file = waiting.files.pop_front()?;
        self.add(&file, as_stored(&file));
        Some(file)
    }

    /// A file is there, with so many bytes in memory.
    pub(super) fn fetched(&mut self, file: &File, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.add(file, bytes.saturating_sub(as_stored(file)));
    }

    fn add(&mut self, file: &File, bytes: i64) {
        let producer = self.producers.get_mut(file.key.producer());
        let job = self.jobs.get_mut(&whose(file));
        for sum in producer
            .into_iter()
            .chain(job.map(|waiting| &mut waiting.bytes))
        {
            *sum = sum.saturating_add_signed(bytes);
        }
    }
}

/// Even an empty file is a request.
fn as_stored(file: &File) -> i64 {
    i64::try_from(file.size).unwrap_or(i64::MAX).max(1)
}

fn whose(file: &File) -> (Producer, Job) {
    (file.key.producer().clone(), file.key.job().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(job: &str, count: i64, size: u64) -> Vec<File> {
        let file = |id: i64| {
            let run = uuid::Uuid::now_v7();
            File {
                id,
                key: format!("inbox/{job}/20130131T{:02}0000Z-{run}.json", id % 24)
                    .parse()
                    .unwrap(),
                etag: String::new(),
                size,
                attempts: 1,
                kept: false,
            }
        };
        (0..count).map(file).collect()
    }

    /// Whose files come, in short, if each has so many bytes of rows.
    fn order(queue: &mut Queue, count: usize, rows: impl Fn(&File) -> usize) -> Vec<String> {
        std::iter::from_fn(|| {
            let file = queue.next()?;
            queue.fetched(&file, rows(&file));
            Some(format!("{}/{}", file.key.producer(), file.key.job()))
        })
        .take(count)
        .collect()
    }

    #[test]
    fn producers_take_turns_and_so_do_their_jobs() {
        let all = [
            files("jfk/a", 3, 10),
            files("jfk/b", 3, 10),
            files("lga/a", 3, 10),
        ]
        .concat();
        assert_eq!(
            order(&mut Queue::new(&all), 9, |_| 10),
            [
                "jfk/a", "lga/a", "jfk/b", "lga/a", "jfk/a", "lga/a", "jfk/b", "jfk/a", "jfk/b"
            ]
        );
    }

    #[test]
    fn one_with_large_results_is_given_back_before_those_beside_it() {
        let all = [files("jfk/a", 250, 1000), files("lga/a", 250, 1000)].concat();
        // A stored kilobyte of the first becomes a megabyte of rows.
        let rows = |file: &File| match file.key.producer().as_str() {
            "jfk" => 1_000_000,
            _ => 1000,
        };
        let first = order(&mut Queue::new(&all), 260, rows);
        assert_eq!(first.iter().filter(|one| *one == "lga/a").count(), 250);
    }

    #[test]
    fn the_files_of_a_job_keep_their_order() {
        let mut queue = Queue::new(&files("jfk/a", 5, 0));
        let ids: Vec<i64> = std::iter::from_fn(|| queue.next().map(|file| file.id)).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
    }
}
