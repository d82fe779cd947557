//! In which order the files of a batch are fetched: always one of the producer, and of its job, that has
//! taken up the least memory so far. Where memory ends before the files do, what is given back is that of
//! those with large results; and no file is asked for that would no longer fit, by what others of its job took.

use std::collections::{BTreeMap, VecDeque};

use nightdrop_schema::{Compression, Job, Producer};

use crate::ledger::claim::File;

/// The files that are still to be fetched.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: BTreeMap<(Producer, Job), Waiting>,
    /// Bytes of memory by producer: of files that are there, and as expected of those under way.
    producers: BTreeMap<Producer, u64>,
    /// The same of all.
    bytes: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    files: VecDeque<File>,
    /// Bytes of memory, as above.
    bytes: u64,
    /// Of the files that are there: their bytes as stored, and in memory.
    stored: u64,
    there: u64,
}

/// A file that is fetched, and how many bytes of memory are set aside for it.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) file: File,
    expected: u64,
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

    /// The next to fetch; none where all are, or where those that are there and under way take up so much memory.
    pub(super) fn next(&mut self, memory: usize) -> Option<Fetching> {
        if self.bytes >= u64::try_from(memory).unwrap_or(u64::MAX) {
            return None;
        }
        let bytes = |producer| self.producers.get(producer).copied().unwrap_or_default();
        let (_, waiting) = self
            .jobs
            .iter_mut()
            .filter(|(_, waiting)| !waiting.files.is_empty())
            .min_by_key(|((producer, _), waiting)| (bytes(producer), waiting.bytes))?;
        let file = waiting.files.pop_front()?;
        let expected = waiting.expected(&file);
        self.add(&file, expected, 0);
        Some(Fetching { file, expected })
    }

    /// Whether all files were asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.values().all(|waiting| waiting.files.is_empty())
    }

    /// A file is there, with so many bytes in memory; none if there is nothing to load.
    pub(super) fn fetched(&mut self, Fetching { file, expected }: &Fetching, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        // It was a request all the same.
        self.add(file, bytes.max(1), *expected);
        if bytes > 0
            && let Some(waiting) = self.jobs.get_mut(&whose(file))
        {
            waiting.stored = waiting.stored.saturating_add(file.size);
            waiting.there = waiting.there.saturating_add(bytes);
        }
    }

    /// So many bytes of memory more, and so many less.
    fn add(&mut self, file: &File, more: u64, less: u64) {
        let producer = self.producers.get_mut(file.key.producer());
        let job = self.jobs.get_mut(&whose(file));
        for sum in producer
            .into_iter()
            .chain(job.map(|waiting| &mut waiting.bytes))
            .chain([&mut self.bytes])
        {
            *sum = sum.saturating_add(more).saturating_sub(less);
        }
    }
}

impl Waiting {
    /// How much memory a file will take: as much for each stored byte as those of its job that are there, or as is
    /// usual.
    fn expected(&self, file: &File) -> u64 {
        let (there, stored) = match (self.stored, file.key.compression()) {
            (1.., _) => (self.there, self.stored),
            (0, Compression::None) => (2, 1),
            (0, Compression::Gzip | Compression::Zstd) => (10, 1),
        };
        let expected = u128::from(file.size) * u128::from(there) / u128::from(stored);
        u64::try_from(expected).unwrap_or(u64::MAX).max(1)
    }
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
            let fetching = queue.next(usize::MAX)?;
            queue.fetched(&fetching, rows(&fetching.file));
            let key = &fetching.file.key;
            Some(format!("{}/{}", key.producer(), key.job()))
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
        let next = || queue.next(usize::MAX).map(|fetching| fetching.file.id);
        let ids: Vec<i64> = std::iter::from_fn(next).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn no_more_is_asked_for_than_will_fit() {
        const MEMORY: usize = 8_000_000;
        let mut queue = Queue::new(&files("jfk/a", 100, 100_000));
        let asked =
            |queue: &mut Queue| std::iter::from_fn(|| queue.next(MEMORY)).collect::<Vec<_>>();
        // Nothing is known of what they hold.
        let first = asked(&mut queue);
        assert_eq!(first.len(), 40);
        // Half a megabyte.
        queue.fetched(&first[0], 500_000);
        assert_eq!(asked(&mut queue).len(), 0);
        for fetching in &first[1..10] {
            queue.fetched(fetching, 500_000);
        }
        // Those under way are thought to take as little as was usual: they are held to it when they are there.
        assert_eq!(asked(&mut queue).len(), 0);
        for fetching in &first[10..] {
            queue.fetched(fetching, 0);
        }
        assert_eq!(asked(&mut queue).len(), 6);

        // Where files turn out to hold nothing to load, the others are asked for.
        let mut queue = Queue::new(&files("jfk/a", 100, 1_000_000));
        let first = asked(&mut queue);
        assert_eq!(first.len(), 4);
        for fetching in &first {
            queue.fetched(fetching, 0);
        }
        assert_eq!(asked(&mut queue).len(), 4);
        // And one is, however large it may be.
        assert_eq!(
            asked(&mut Queue::new(&files("jfk/a", 9, u64::MAX))).len(),
            1
        );
    }
}
