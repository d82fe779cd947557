//! Whether bucket and Postgres can be used, and their circuit breakers.

use std::fmt;
use std::sync::Arc;

use nightdrop_runtime::metrics::gauge;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::servers::Servers;

#[derive(Debug)]
pub(super) struct Shown(pub(super) Arc<Servers>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let known = self.0.standing();
        let usable = known.iter().map(|one| {
            (
                [("server", one.server.as_str())],
                f64::from(u8::from(one.usable)),
            )
        });
        gauge(
            &mut encoder,
            "server_usable",
            "Whether nothing is wrong with the bucket, or with Postgres: what /readyz says",
            usable,
        )?;
        let states = known.iter().flat_map(|one| {
            ["closed", "open", "half_open"].map(|state| {
                let labels = [("server", one.server.as_str()), ("state", state)];
                (labels, f64::from(u8::from(one.state.as_str() == state)))
            })
        });
        gauge(
            &mut encoder,
            "breaker_state",
            "Which state a circuit breaker is in: 1 for that one",
            states,
        )
    }
}
