//! Whose numbers are shown under names of their own. Each name is a few series for as long as the process lives, and a
//! producer's key is enough to make jobs up: so it gets some of them, and never takes another's.

use std::collections::{BTreeMap, BTreeSet};

/// So many producers have numbers of their own: a bucket has fewer keys than that.
const PRODUCERS: usize = 2_000;

/// So many jobs of all producers,
const JOBS: usize = 2_000;

/// and so many of each.
const EACH: usize = 200;

/// What stands for all others: nobody's name can begin so.
pub(super) const OTHERS: &str = "_others";

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names {
    producers: BTreeMap<String, BTreeSet<String>>,
    jobs: usize,
}

impl Names {
    /// The name that a producer's numbers have.
    pub(super) fn producer(&mut self, producer: &str) -> String {
        if !self.producers.contains_key(producer) {
            if self.producers.len() >= PRODUCERS {
                return OTHERS.to_owned();
            }
            self.producers.insert(producer.to_owned(), BTreeSet::new());
        }
        producer.to_owned()
    }

    /// The name that a job's numbers have, beside its producer's. For jobs of which a result is loaded: what fails or
    /// is parked under a name doesn't show that there is such a job.
    pub(super) fn job(&mut self, producer: &str, job: &str) -> String {
        let Some(jobs) = self.producers.get_mut(producer) else {
            return OTHERS.to_owned();
        };
        if !jobs.contains(job) {
            if jobs.len() >= EACH || self.jobs >= JOBS {
                return OTHERS.to_owned();
            }
            jobs.insert(job.to_owned());
            self.jobs += 1;
        }
        job.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &mut Names, producer: &str, job: &str) -> (String, String) {
        (names.producer(producer), names.job(producer, job))
    }

    fn both(producer: &str, job: &str) -> (String, String) {
        (producer.to_owned(), job.to_owned())
    }

    #[test]
    fn a_producer_with_many_jobs_takes_no_more_than_its_share_of_the_names() {
        let mut names = Names::default();
        for n in 0..2 * JOBS {
            named(&mut names, "lga", &format!("job_{n}"));
        }
        assert_eq!(named(&mut names, "lga", "one_more"), both("lga", OTHERS));
        assert_eq!(named(&mut names, "lga", "job_0"), both("lga", "job_0"));
        assert_eq!(
            named(&mut names, "jfk", "departures"),
            both("jfk", "departures")
        );
        assert_eq!(names.jobs, EACH + 1);
    }

    #[test]
    fn many_jobs_of_many_producers_leave_each_producer_its_name() {
        let mut names = Names::default();
        for producer in 0..2 * JOBS / EACH {
            for job in 0..EACH {
                named(&mut names, &format!("p{producer}"), &format!("job_{job}"));
            }
        }
        assert_eq!(names.jobs, JOBS);
        assert_eq!(named(&mut names, "jfk", "departures"), both("jfk", OTHERS));
    }

    #[test]
    fn there_are_only_so_many_producers_names() {
        let mut names = Names::default();
        for producer in 0..2 * PRODUCERS {
            names.producer(&format!("p{producer}"));
        }
        assert_eq!(named(&mut names, "p0", "j"), both("p0", "j"));
        assert_eq!(named(&mut names, "jfk", "j"), both(OTHERS, OTHERS));
        assert_eq!(names.producers.len(), PRODUCERS);
    }
}
