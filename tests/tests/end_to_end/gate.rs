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
                let (there, back) = (Arc::clone(&gate), Arc::clone(&gate));
                std::thread::spawn(move || there.pass(from_client, to_server, true));
                std::thread::spawn(move || back.pass(from_server, to_client, false));
            }
        });
        Self { address, shared }
    }

    /// Holds the next connection that comes to this point.
    pub fn hold(&self, hold: Hold) {
        *self.shared.state.lock().unwrap() = State {
            hold: Some(hold),
            reached: false,
        };
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

    /// Lets everything through again.
    pub fn open(&self) {
        self.shared.state.lock().unwrap().hold = None;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, sent: bool) {
        let mut buffer = vec![0; 16 * 1024];
        let mut passed = 0;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            passed += count;
            self.wait_if_held(&buffer[..count], passed, sent);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn wait_if_held(&self, bytes: &[u8], passed: usize, sent: bool) {
        let mut state = self.state.lock().unwrap();
        let held = match &state.hold {
            Some(Hold::Request(text)) => {
                let line = bytes
                    .split(|byte| *byte == b'\r')
                    .next()
                    .unwrap_or_default();
                sent && String::from_utf8_lossy(line).contains(text)
            }
            Some(Hold::Sent(limit)) => sent && passed >= *limit,
            Some(Hold::Received(limit)) => !sent && passed >= *limit,
            None => false,
        };
        if held {
            state.reached = true;
            self.changed.notify_all();
            drop(
                self.changed
                    .wait_while(state, |state| state.hold.is_some())
                    .unwrap(),
            );
        }
    }
}
