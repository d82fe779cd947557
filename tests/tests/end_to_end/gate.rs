//! A door between a program and a server: it lets all bytes through until it is told to hold them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::site::PATIENCE;

/// Where to hold what a client sends.
#[derive(Clone, Debug)]
pub enum Hold {
    /// Before the request whose first line has this in it.
    Request(&'static str),
    /// Once one connection has sent so many bytes.
    Sent(usize),
    /// Once one connection has received so many bytes.
    Received(usize),
    /// Whatever comes, either way, of every connection: the network is cut, and nobody is told.
    All,
}

pub struct Gate {
    /// `127.0.0.1:PORT`
    pub address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    hold: Option<Hold>,
    reached: bool,
    cut: bool,
    refuse: Option<(String, String)>,
    date: Option<String>,
}

impl Gate {
    /// A gate before a server on this machine.
    pub fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let (upstream, gate) = (upstream.to_owned(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&upstream)) else {
                    continue;
                };
                let (from_client, to_client) = (client.try_clone().unwrap(), client);
                let (from_server, to_server) = (server.try_clone().unwrap(), server);
                let refusals = to_client.try_clone().unwrap();
                let (there, back) = (Arc::clone(&gate), Arc::clone(&gate));
                std::thread::spawn(move || there.pass(from_client, to_server, Some(refusals)));
                std::thread::spawn(move || back.pass(from_server, to_client, None));
            }
        });
        Self { address, shared }
    }

    /// Holds the next connection that comes to this point.
    pub fn hold(&self, hold: Hold) {
        let mut state = self.shared.state.lock().unwrap();
        state.hold = Some(hold);
        state.reached = false;
        state.cut = false;
    }

    /// What is held stays held, and nothing else is from now on.
    pub fn hold_no_others(&self) {
        self.shared.state.lock().unwrap().hold = Some(Hold::Sent(usize::MAX));
    }

    /// From now on answers 500 to each request whose first line has this in it.
    pub fn refuse(&self, text: &str) {
        self.answer(text, "500 Internal Server Error", "");
    }

    /// From now on every answer says this in its `Date`, which is as long as any other.
    pub fn date(&self, date: &str) {
        self.shared.state.lock().unwrap().date = Some(date.to_owned());
    }

    /// From now on gives this status and body to each request whose first line has this in it.
    pub fn answer(&self, text: &str, status: &str, body: &str) {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        self.shared.state.lock().unwrap().refuse = Some((text.to_owned(), answer));
    }

    /// Waits until a connection has come to the point where it is held.
    pub fn wait(&self) {
        let state = self.shared.state.lock().unwrap();
        let (_state, time) = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !state.reached)
            .unwrap();
        assert!(!time.timed_out(), "nothing came to the gate");
    }

    /// Breaks off the connections that are held, and lets everything else through again.
    pub fn cut(&self) {
        self.shared.state.lock().unwrap().cut = true;
        self.open();
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.shared.state.lock().unwrap().hold = None;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Passes bytes on. What a client sends may be refused instead, through its own connection.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, mut refusals: Option<TcpStream>) {
        let sent = refusals.is_some();
        let mut buffer = vec![0; 16 * 1024];
        let mut passed = 0;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            passed += count;
            if !sent {
                self.redate(&mut buffer[..count]);
            }
            if let Some(client) = refusals.as_mut()
                && let Some(answer) = self.refusal(&buffer[..count])
            {
                let _ = client.write_all(answer.as_bytes());
                let _ = client.shutdown(Shutdown::Both);
                break;
            }
            if self.is_cut_off(&buffer[..count], passed, sent) {
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Says another date in an answer, if that is wanted.
    fn redate(&self, bytes: &mut [u8]) {
        const NAME: &[u8] = b"\r\nDate: ";
        let state = self.state.lock().unwrap();
        if let Some(date) = &state.date
            && let Some(found) = bytes.windows(NAME.len()).position(|part| part == NAME)
        {
            let from = found + NAME.len();
            bytes[from..from + date.len()].copy_from_slice(date.as_bytes());
        }
    }

    fn refusal(&self, bytes: &[u8]) -> Option<String> {
        let state = self.state.lock().unwrap();
        let (text, answer) = state.refuse.as_ref()?;
        first_line(bytes).contains(text).then(|| answer.clone())
    }

    /// Waits where this is held, and gives whether it is broken off then.
    fn is_cut_off(&self, bytes: &[u8], passed: usize, sent: bool) -> bool {
        let mut state = self.state.lock().unwrap();
        let held = match &state.hold {
            Some(Hold::Request(text)) => sent && first_line(bytes).contains(text),
            Some(Hold::Sent(limit)) => sent && passed >= *limit,
            Some(Hold::Received(limit)) => !sent && passed >= *limit,
            Some(Hold::All) => true,
            None => false,
        };
        if held {
            state.reached = true;
            self.changed.notify_all();
            let held = |state: &mut State| state.hold.is_some();
            state = self.changed.wait_while(state, held).unwrap();
        }
        held && state.cut
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}
