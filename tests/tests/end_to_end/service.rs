//! The consumer under systemd, as far as a socket can play it.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::site::{PATIENCE, Site};

/// The next thing that it says.
fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 100];
    let count = socket.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..count]).trim().to_owned()
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_about_to_end() {
    let site = Site::anywhere();
    let path = site.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();

    let mut command = Command::new(nightdrop_compose::binary("nightdrop-consumer").unwrap());
    command
        .arg("-c")
        .arg(site.config())
        .arg("run")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let consumer = Process::spawn(&mut command);
    assert_eq!(heard(&socket), "READY=1");
    for _ in 0..3 {
        assert_eq!(heard(&socket), "WATCHDOG=1");
    }

    // Stuck, it says nothing, and systemd would start it over.
    consumer.signal("STOP");
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut bytes = [0; 100];
    while socket.recv(&mut bytes).is_ok() {}
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    consumer.signal("CONT");

    consumer.signal("TERM");
    while heard(&socket) != "STOPPING=1" {}
    assert_eq!(consumer.wait(PATIENCE).code, Some(0));
}
