-- What a job's results look like, by the last of them that found its table in order: doctor holds the table against it.
CREATE TABLE nightdrop.shape (
    producer   text        NOT NULL,
    job        text        NOT NULL,
    -- As `{"flight": "int64"}`.
    columns    jsonb       NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (producer, job)
);

COMMENT ON TABLE nightdrop.shape IS 'The columns of each job''s results and their types in the message, by the last result that fitted its table.';
COMMENT ON COLUMN nightdrop.shape.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.shape.job IS 'Which of its jobs.';
COMMENT ON COLUMN nightdrop.shape.columns IS 'Each column''s name, and its type in the message.';
COMMENT ON COLUMN nightdrop.shape.changed_at IS 'When that was written, by this database''s clock.';
