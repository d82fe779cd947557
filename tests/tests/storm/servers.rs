//! The S3 server and Postgres are killed, and start again on what they have; or they are stopped, and go on.

use anyhow::Result;
use nightdrop_compose::{Postgres, S3};
use rand::RngExt;

use crate::weather::{Storm, within};

pub trait Server {
    fn kill(&mut self) -> Result<()>;
    fn restart(&mut self) -> Result<()>;
    fn stop(&mut self) -> Result<()>;
    fn cont(&mut self) -> Result<()>;
}

macro_rules! server {
    ($name:ty) => {
        impl Server for $name {
            fn kill(&mut self) -> Result<()> {
                self.kill()
            }
            fn restart(&mut self) -> Result<()> {
                self.restart()
            }
            fn stop(&mut self) -> Result<()> {
                self.stop()
            }
            fn cont(&mut self) -> Result<()> {
                self.cont()
            }
        }
    };
}
server!(S3);
server!(Postgres);

/// Harms a server every now and then; when this is over, it is well.
pub fn blow(name: &str, server: &mut impl Server, storm: &Storm) {
    let mut dice = storm.dice(name);
    while storm.pass(within(&mut dice, 4.0..14.0)) {
        if dice.random_bool(0.6) {
            storm.note(format!("{name} killed"));
            server.kill().unwrap();
            storm.pass(within(&mut dice, 0.0..2.0));
            server.restart().unwrap();
            storm.note(format!("{name} is back"));
        } else {
            storm.note(format!("{name} stopped"));
            server.stop().unwrap();
            storm.pass(within(&mut dice, 0.3..3.0));
            server.cont().unwrap();
            storm.note(format!("{name} goes on"));
        }
    }
}
