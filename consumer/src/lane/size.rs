//! How many files a batch takes: as many as are done in about a second, so that what comes meanwhile
//! doesn't wait for long, however slow bucket, Postgres or this machine are just now; and no more than had room in
//! memory, for the others would have to be given back.

use std::time::Duration;

/// How long a batch may take.
const AIM: Duration = Duration::from_secs(1);

/// No fewer than so many: a commit costs as much for one as for some dozens.
const LEAST: u32 = 50;

/// To begin with, for nothing is known yet.
const FIRST: u32 = 100;

/// The size of the next batch.
#[derive(Debug)]
pub struct Size {
    now: u32,
    most: u32,
}

impl Size {
    /// At most so many.
    pub fn new(most: u32) -> Self {
        Self {
            now: most.min(FIRST),
            most,
        }
    }

    /// How many files to claim.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// No more than so many files of a batch had room in memory.
    pub(super) fn fitted(&mut self, files: usize) {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        self.now = self.now.min(files.max(1));
    }

    /// A batch of so many files took so long.
    pub(super) fn learn(&mut self, files: usize, took: Duration) {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        if took > AIM {
            let in_time = f64::from(files) * AIM.as_secs_f64() / took.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and the files of a batch"
            )]
            let in_time = in_time as u32;
            self.now = self.now.min(in_time.max(LEAST));
        } else if took < AIM / 2 && files >= self.now {
            self.now = self.now.saturating_mul(2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_no_room_is_not_claimed_the_next_time_until_there_may_be_more() {
        let mut size = Size::new(500);
        size.fitted(16);
        assert_eq!(size.now(), 16);
        size.learn(16, Duration::from_millis(600));
        assert_eq!(size.now(), 16);
        size.learn(16, Duration::from_millis(100));
        assert_eq!(size.now(), 32);
        // A single one may be all that fits, and more than was claimed never does.
        size.fitted(0);
        assert_eq!(size.now(), 1);
        size.fitted(40);
        assert_eq!(size.now(), 1);
    }

    #[test]
    fn batches_shrink_to_what_is_done_in_a_second_and_grow_again() {
        let mut size = Size::new(500);
        let mut next = |files, millis| {
            size.learn(files, Duration::from_millis(millis));
            size.now()
        };
        assert_eq!(next(100, 250), 200);
        assert_eq!(next(200, 250), 400);
        assert_eq!(next(400, 250), 500);
        assert_eq!(next(500, 250), 500);
        assert_eq!(next(500, 4000), 125);
        assert_eq!(next(125, 900), 125);
        // Never so small that commits are all there is.
        assert_eq!(next(125, 60_000), 50);
        // A batch that wasn't full says nothing of larger ones.
        assert_eq!(next(20, 100), 50);
        assert_eq!(next(50, 100), 100);
        assert_eq!(Size::new(10).now(), 10);
    }

    #[test]
    fn a_small_configured_size_stays() {
        let mut size = Size::new(10);
        size.learn(10, Duration::from_secs(9));
        assert_eq!(size.now(), 10);
    }
}
