//! A bucket that takes connections and answers late, or not at all.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// Longer than a test may last.
const FOR_EVER: Duration = Duration::from_hours(1);

/// What becomes of a PUT.
#[derive(Clone, Copy)]
enum Then {
    Created,
    /// At once.
    Busy,
    /// A gateway gives up what is behind it.
    BusyAfter(Duration),
    Silence,
    Broken,
}

type Answer = Arc<dyn Fn(&str) -> Then + Send + Sync>;

/// A server of which a test says what it answers to the PUT of a key.
struct Server {
    bucket: Bucket,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Answer>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Arc::new(answer)));
        let (log, answers) = (Arc::clone(&asked), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&answers)));
            }
        });
        Self {
            bucket: Drop::bucket_at(&endpoint),
            asked,
            answer,
            task,
        }
    }

    fn answers_from_now_on(&self, answer: impl Fn(&str) -> Then + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// The keys that came since this was called last, each as the place of its entry in `entries`.
    fn asked(&self, entries: &[Entry]) -> Vec<usize> {
        let place = |key: String| {
            let is_it = |entry: &Entry| key == entry.key.to_string();
            entries.iter().position(is_it).unwrap()
        };
        let asked = mem::take(&mut *self.asked.lock().unwrap());
        asked.into_iter().map(place).collect()
    }
}

impl std::ops::Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>, answer: Arc<Mutex<Answer>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split([' ', '?']).nth(1).unwrap();
    let key = path.strip_prefix("/reports-inbox/").unwrap();
    let then = (Arc::clone(&answer.lock().unwrap()))(key);
    asked.lock().unwrap().push(key.to_owned());
    let status = match then {
        Then::Created => "200 OK",
        Then::Busy => "503 Service Unavailable",
        Then::BusyAfter(time) => {
            tokio::time::sleep(time).await;
            "504 Gateway Timeout"
        }
        Then::Silence => std::future::pending().await,
        Then::Broken => return,
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // A client that has given up is what some tests are about.
    let _ = stream.write_all(answer.as_bytes()).await;
    // Its body, or the answer would be lost with the connection.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

impl Drop {
    /// Entries of these sizes, oldest first.
    fn entries_of(&self, sizes: &[usize]) -> Vec<Entry> {
        let entry = |(month, size): (usize, &usize)| {
            self.entry(
                &format!("2013{:02}01T000000Z", month + 1),
                &b"x".repeat(*size),
            )
        };
        sizes.iter().enumerate().map(entry).collect()
    }
}

fn patience(put_for: Duration) -> Patience {
    Patience {
        waits: Waits {
            long: Duration::from_secs(3),
            short: Duration::from_secs(2),
        },
        ..Patience::new(put_for)
    }
}

/// Fails a test that waits for what is long.
async fn shortly<T>(work: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, work)
        .await
        .expect("it is short")
}

/// Nobody can wait for what is long.
fn patience_for_what_is_short() -> Patience {
    let mut patience = patience(Duration::ZERO);
    patience.waits.long = FOR_EVER;
    patience
}

#[tokio::test]
async fn a_bucket_that_hangs_is_given_up_after_the_oldest_entry_and_the_smallest() {
    let drop = Drop::new();
    let entries = drop.entries_of(&[5, 4, 3, 2, 3]);
    for silence in [
        Then::Silence,
        Then::Broken,
        Then::BusyAfter(Duration::from_millis(1200)),
    ] {
        let server = Server::start(move |_| silence).await;
        let mut patience = patience(Duration::ZERO);
        patience.waits.short = Duration::from_millis(1100);
        let ended = patience.drain(&drop.turn, &server.bucket, &drop.stop);
        let said = ended.await.err().unwrap().to_string();
        assert!(said.contains(", so are 4 more, "), "{said}");
        assert_eq!(server.asked(&entries), [0, 3]);
        assert_eq!(drop.turn.entries().unwrap(), entries);
    }
}

#[tokio::test]
async fn a_bucket_that_says_at_once_that_it_is_busy_is_asked_for_each() {
    let drop = Drop::new();
    let entries = drop.entries_of(&[3, 2, 1]);
    let server = Server::start(|_| Then::Busy).await;
    let mut patience = patience(Duration::ZERO);
    let ended = patience.drain(&drop.turn, &server.bucket, &drop.stop);
    assert!(ended.await.is_err());
    assert_eq!(server.asked(&entries), [0, 1, 2]);
}

#[tokio::test]
async fn an_entry_that_gets_no_answer_holds_up_no_other_and_goes_when_it_can() {
    for silence in [Then::Silence, Then::Broken] {
        let drop = Drop::new();
        let entries = drop.entries_of(&[9, 2, 1, 3]);
        let hangs = entries[0].key.to_string();
        let server = Server::start(
            move |key| {
                if key == hangs { silence } else { Then::Created }
            },
        )
        .await;
        let mut patience = patience(Duration::ZERO);
        for asked in [&[0, 2, 1, 3][..], &[0]] {
            let ended = patience.drain(&drop.turn, &server.bucket, &drop.stop);
            assert!(ended.await.is_err());
            assert_eq!(server.asked(&entries), asked);
            assert_eq!(drop.turn.entries().unwrap(), entries[..1]);
            // The next run.
            patience.silent = false;
        }

        server.answers_from_now_on(|_| Then::Created);
        let ended = patience.drain(&drop.turn, &server.bucket, &drop.stop);
        assert_eq!(ended.await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn once_time_is_up_a_second_entry_without_an_answer_ends_it() {
    let drop = Drop::new();
    // By size, an entry that goes is between each two that hang.
    let entries = drop.entries_of(&[9, 1, 2, 3, 4]);
    let goes = [entries[1].key.to_string(), entries[3].key.to_string()];
    let server = Server::start(move |key| {
        if goes.iter().any(|it| it == key) {
            Then::Created
        } else {
            Then::Silence
        }
    })
    .await;
    let mut patience = patience(Duration::ZERO);
    let ended = patience.drain(&drop.turn, &server.bucket, &drop.stop);
    assert!(ended.await.is_err());
    assert_eq!(server.asked(&entries), [0, 1, 2]);
}

#[tokio::test]
async fn a_bucket_that_comes_back_within_put_for_gets_all_oldest_first() {
    let drop = Drop::new();
    let entries = drop.entries_of(&[3, 1, 2]);
    let server = Server::start(|_| Then::Silence).await;
    let mut patience = patience(FOR_EVER);
    let draining = patience.drain(&drop.turn, &server.bucket, &drop.stop);
    let mending = async {
        while server.asked.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        server.answers_from_now_on(|_| Then::Created);
    };
    let (ended, ()) = tokio::join!(draining, mending);
    let gone: Vec<_> = ended.unwrap().into_iter().map(|gone| gone.entry).collect();
    assert_eq!(gone, entries);
    assert_eq!(server.asked(&entries), [0, 1, 0, 1, 2]);
}

#[tokio::test]
async fn before_a_query_all_entries_together_have_a_short_while() {
    let drop = Drop::new();
    let entries = drop.entries_of(&[1, 2, 3]);
    let goes = entries[0].key.to_string();
    let server = Server::start(move |key| {
        if key == goes {
            Then::Created
        } else {
            Then::Silence
        }
    })
    .await;
    let mut patience = patience_for_what_is_short();
    let mut gone = Vec::new();
    let trying = patience.briefly(&drop.turn, &server.bucket, &drop.stop, &mut gone);
    shortly(trying).await.unwrap();
    assert_eq!(gone.len(), 1, "what went is counted");
    assert_eq!(server.asked(&entries), [0, 1]);
    assert_eq!(drop.turn.entries().unwrap(), entries[1..]);
}

#[tokio::test]
async fn once_nobody_answered_a_job_the_next_asks_for_its_smallest_entry_and_shortly() {
    let drop = Drop::new();
    let entries = drop.entries_of(&[3, 2, 1]);
    let mut patience = patience_for_what_is_short();
    let dead = Drop::dead_bucket();
    let ended = patience.drain(&drop.turn, &dead, &drop.stop).await;
    assert!(ended.is_err());

    let server = Server::start(|_| Then::Silence).await;
    let mut gone = Vec::new();
    let trying = patience.briefly(&drop.turn, &server.bucket, &drop.stop, &mut gone);
    shortly(trying).await.unwrap();
    assert_eq!(
        server.asked(&entries),
        Vec::<usize>::new(),
        "nothing before its query"
    );
    let ended = shortly(patience.drain(&drop.turn, &server.bucket, &drop.stop)).await;
    assert!(ended.is_err());
    assert_eq!(server.asked(&entries), [2]);

    // Whoever answers is there again.
    server.answers_from_now_on(|_| Then::Created);
    let ended = patience.drain(&drop.turn, &server.bucket, &drop.stop).await;
    assert_eq!(ended.unwrap().len(), 3);
    assert!(!patience.silent);
}
