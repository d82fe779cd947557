-- Loads under way. A load doesn't lock its own row, so that anyone can see, while it holds everything else,
-- whether it still moves. Not logged: nothing of it outlives a crash of Postgres, for no load does.
CREATE UNLOGGED TABLE nightdrop.load (
    token         uuid        PRIMARY KEY,
    worker        text        NOT NULL,
    -- The session that loads; pids come again, so its start belongs to it.
    pid           integer     NOT NULL,
    backend_start timestamptz NOT NULL,
    deadline      timestamptz NOT NULL
);

COMMENT ON TABLE nightdrop.load IS 'Loads under way: whose deadline has passed is ended by any consumer, for its own no longer extends it.';

-- What each host last knew of the servers that it was kept from: a consumer that is restarted while the
-- bucket is away doesn't begin again to ask.
CREATE TABLE nightdrop.breaker (
    host     text        NOT NULL,
    server   text        NOT NULL CHECK (server IN ('bucket', 'postgres')),
    state    text        NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    since    timestamptz NOT NULL,
    ask_at   timestamptz,
    error    text        NOT NULL,
    PRIMARY KEY (host, server),
    CONSTRAINT breaker_open_until CHECK ((state = 'open') = (ask_at IS NOT NULL))
);

COMMENT ON TABLE nightdrop.breaker IS 'Circuit breakers that have been open: an open one asks nothing of its server until `ask_at`.';
