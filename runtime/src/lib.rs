//! What every nightdrop process runs with: configuration, secrets, telemetry, shutdown
