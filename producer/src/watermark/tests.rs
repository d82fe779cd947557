use super::*;

struct State {
    folder: tempfile::TempDir,
}

impl State {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("spool/departures")).unwrap();
        Self { folder }
    }

    fn watermark(&self) -> Watermark {
        Watermark::new(self.folder.path(), &"departures".parse().unwrap())
    }

    fn step(&self, sql: &str, start: Option<&str>) -> Result<Step, crate::Error> {
        let start = start.map(|text| text.parse().unwrap());
        self.watermark().step(
            &of(sql),
            start,
            Some("2013-01-01T00:00:00Z".parse().unwrap()),
        )
    }

    fn refusal(&self, sql: &str, start: Option<&str>) -> (Code, String) {
        let error = self.step(sql, start).unwrap_err();
        let folder = self.folder.path().display().to_string();
        (error.code(), error.to_string().replace(&folder, "STATE"))
    }
}

fn of(sql: &str) -> Fingerprint {
    Fingerprint::new(sql, &[], "sqlite:///ops.db")
}

const T1: &str = "2013-01-31T05:00:00.000000Z";
const T2: &str = "2013-01-31T06:00:00.000000Z";

fn t2() -> Timestamptz {
    T2.parse().unwrap()
}

#[test]
fn a_watermark_that_is_not_there_is_asked_for_by_name() {
    let state = State::new();
    let (code, said) = state.refusal("SELECT 1", None);
    assert_eq!(code, Code::NoInput);
    insta::assert_snapshot!(said, @"no watermark: there is no STATE/watermark/departures.json; if this is the job's first run, say where to begin: --start 2013-01-01T00:00:00.000000Z; if the state folder was lost, say where the newest result ended (`nightdrop-consumer explain PRODUCER/JOB` has its cursor.to): --start T; nothing was read");
    assert_eq!(
        state.step("SELECT 1", Some(T1)).unwrap().from(),
        T1.parse().unwrap()
    );
    // Nothing happened yet.
    assert_eq!(state.refusal("SELECT 1", None).0, Code::NoInput);
}

#[test]
fn a_watermark_holds_for_one_question_in_one_place() {
    let state = State::new();
    state
        .step("SELECT 1", Some(T1))
        .unwrap()
        .save(t2())
        .unwrap();
    assert_eq!(state.step("SELECT 1", None).unwrap().from(), t2());
    let (code, said) = state.refusal("SELECT 2", None);
    assert_eq!(code, Code::NoInput);
    insta::assert_snapshot!(said, @"the query changed since the watermark was set, and what is before it was not asked like that; to go on where it stopped, run once with --start 2013-01-31T06:00:00.000000Z; to begin earlier, with that instant; nothing was read");

    let copy = State::new();
    let there = copy.watermark().path;
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::copy(state.watermark().path, there).unwrap();
    let (code, said) = copy.refusal("SELECT 1", None);
    assert_eq!(code, Code::NoInput);
    insta::assert_snapshot!(said, @"the state folder was copied, restored or moved: its watermark was written in another folder; if nobody else goes on from the original, and it is not older than the last result, run once with --start 2013-01-31T06:00:00.000000Z; nothing was read");
    copy.step("SELECT 1", Some(T2)).unwrap().save(t2()).unwrap();
    assert_eq!(copy.step("SELECT 1", None).unwrap().from(), t2());
}

#[test]
fn another_machine_is_another_place_and_one_without_a_name_is_not() {
    let place = |machine: Option<&str>| Place {
        machine: machine.map(str::to_owned),
        folder: 1,
    };
    assert_eq!(
        place(Some("a")).difference(&place(Some("b"))),
        Some("on another machine")
    );
    assert_eq!(place(Some("a")).difference(&place(Some("a"))), None);
    assert_eq!(place(None).difference(&place(Some("a"))), None);
}

#[test]
fn start_does_not_override_a_watermark_that_holds() {
    let state = State::new();
    state
        .step("SELECT 1", Some(T1))
        .unwrap()
        .save(t2())
        .unwrap();
    let (code, said) = state.refusal("SELECT 1", Some(T1));
    assert_eq!(code, Code::Usage);
    insta::assert_snapshot!(said, @"--start 2013-01-31T05:00:00.000000Z is not taken: the job goes on from its watermark, 2013-01-31T06:00:00.000000Z; to read something again, or to leave something out, remove STATE/watermark/departures.json first");
    assert_eq!(state.step("SELECT 1", Some(T2)).unwrap().from(), t2());
}

#[test]
fn what_is_announced_holds_if_the_entry_is_there() {
    let state = State::new();
    let step = state.step("SELECT 1", Some(T1)).unwrap();
    step.announce("entry.json", t2()).unwrap();
    assert_eq!(
        state.step("SELECT 1", None).unwrap().from(),
        T1.parse().unwrap()
    );
    fs::write(state.folder.path().join("spool/departures/entry.json"), "").unwrap();
    assert_eq!(state.step("SELECT 1", None).unwrap().from(), t2());
    state.watermark().settle().unwrap();
    fs::remove_file(state.folder.path().join("spool/departures/entry.json")).unwrap();
    assert_eq!(state.step("SELECT 1", None).unwrap().from(), t2());
}

#[test]
fn what_is_announced_and_never_came_is_forgotten() {
    let state = State::new();
    let step = state.step("SELECT 1", Some(T1)).unwrap();
    step.announce("entry.json", t2()).unwrap();
    state.watermark().settle().unwrap();
    fs::write(state.folder.path().join("spool/departures/entry.json"), "").unwrap();
    assert_eq!(
        state.step("SELECT 1", None).unwrap().from(),
        T1.parse().unwrap()
    );
}

#[test]
fn two_runs_from_one_instant_have_one_id_unless_somebody_began_anew() {
    let state = State::new();
    let step = state.step("SELECT 1", Some(T1)).unwrap();
    let first = step.run_id();
    step.save(t2()).unwrap();
    let second = state.step("SELECT 1", None).unwrap().run_id();
    assert_ne!(first, second);
    assert_eq!(state.step("SELECT 1", None).unwrap().run_id(), second);
    assert_eq!(state.step("SELECT 2", Some(T2)).unwrap().run_id(), second);
    assert_ne!(state.step("SELECT 2", Some(T1)).unwrap().run_id(), first);
}

#[test]
fn a_file_that_cannot_be_read_is_no_missing_watermark() {
    let state = State::new();
    let path = state.watermark().path;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "{").unwrap();
    assert_eq!(state.refusal("SELECT 1", Some(T1)).0, Code::CantCreate);
}
