//! How tests disturb servers.

/// The methods by which a test disturbs a server; the type has a field `server` and a method
/// `wait`.
///
/// All but `pid` need the server to be one's own: a shared one is only ever borrowed.
macro_rules! controls {
    ($name:ty) => {
        impl $name {
            /// The process id of the server.
            ///
            /// # Errors
            /// When it was killed and not started again.
            pub fn pid(&self) -> anyhow::Result<u32> {
                self.server.pid()
            }

            /// Kills the server and its children (SIGKILL) and waits until they are gone.
            ///
            /// # Errors
            /// When it is not running.
            pub fn kill(&mut self) -> anyhow::Result<()> {
                self.server.kill()
            }

            /// Stops the server and its children in their tracks (SIGSTOP): connections stay open,
            /// nobody answers.
            ///
            /// # Errors
            /// When it is not running.
            pub fn stop(&mut self) -> anyhow::Result<()> {
                self.server.stop()
            }

            /// Lets a stopped server go on (SIGCONT).
            ///
            /// # Errors
            /// When it is not running.
            pub fn cont(&mut self) -> anyhow::Result<()> {
                self.server.cont()
            }

            /// Starts the server again, on the same port and with the same data, and waits until it
            /// answers. Kills it first where it still runs.
            ///
            /// # Errors
            /// When it does not come back.
            pub fn restart(&mut self) -> anyhow::Result<()> {
                self.server.restart()?;
                self.wait()
            }
        }
    };
}
pub(crate) use controls;
