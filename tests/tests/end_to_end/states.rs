//! The ways from one state to another, by the database: what the code doesn't allow is refused there
//! too, whoever tries.

use std::collections::BTreeSet;

use nightdrop_consumer::ledger::state::{Event, Next, State};

use crate::site::Site;

/// Tries each way between two states, and each beginning, with all else in the row as it would have to be.
const TRY_ALL: &str = "
CREATE TABLE public.way (was text, becomes text);
GRANT SELECT ON public.way TO public;
CREATE FUNCTION public.put(state text, key text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id, state, decided_at, gone_at,
                                body_hash, row_count, mode, reason, error, kept)
    VALUES (key, '', 0, 'jfk', 'departures', now(), gen_random_uuid(), state,
            CASE WHEN state <> 'waiting' THEN now() END, CASE WHEN state = 'missing' THEN now() END,
            sha256(''), 0, 'append', 'syntax', 'bad', state = 'parked')
$$;
DO $$
DECLARE
    states text[] := ARRAY['waiting', 'loaded', 'superseded', 'duplicate', 'parked', 'held', 'noted', 'dropped', 'missing'];
    was text; becomes text;
BEGIN
    FOREACH becomes IN ARRAY states LOOP
        BEGIN
            PERFORM public.put(becomes, 'new ' || becomes);
            INSERT INTO public.way VALUES ('nothing', becomes);
        EXCEPTION WHEN integrity_constraint_violation THEN NULL;
        END;
    END LOOP;
    FOREACH was IN ARRAY states LOOP FOREACH becomes IN ARRAY states LOOP
        ALTER TABLE nightdrop.file DISABLE TRIGGER USER;
        PERFORM public.put(was, was || becomes);
        ALTER TABLE nightdrop.file ENABLE TRIGGER USER;
        BEGIN
            UPDATE nightdrop.file f
            SET state = becomes, decided_at = CASE WHEN becomes <> 'waiting' THEN now() END,
                gone_at = CASE WHEN becomes = 'missing' THEN now() END,
                kept = becomes = 'parked' OR (becomes = 'waiting' AND f.kept)
            WHERE f.key = was || becomes;
            INSERT INTO public.way VALUES (was, becomes);
        EXCEPTION WHEN integrity_constraint_violation THEN NULL;
        END;
    END LOOP; END LOOP;
END
$$";

#[test]
fn the_database_takes_the_ways_that_the_code_draws_and_no_others() {
    let site = Site::anywhere();
    site.administer(TRY_ALL);

    let taken: BTreeSet<String> = site
        .rows("SELECT was || ' to ' || becomes FROM public.way WHERE was <> becomes")
        .into_iter()
        .collect();

    let drawn: BTreeSet<String> = State::ALL
        .into_iter()
        .flat_map(|before| Event::all().map(move |event| (before, before.after(event))))
        .filter_map(|(before, next)| match next {
            Next::To(after) => Some((before.as_str(), after.as_str())),
            Next::Stays | Next::Forgotten | Next::Never => None,
        })
        .chain([("nothing", "waiting"), ("nothing", "held")])
        .map(|(before, after)| format!("{before} to {after}"))
        .collect();
    assert_eq!(taken, drawn);
}
