//! What the drop box promises, and on each place where it may lie: a folder, SeaweedFS, MinIO. What is written is
//! written with a producer's own keys, what is read with the reader's; root's only arrange what no user of ours does.
//!
//! Each promise is a function over a [`Place`](place::Place), in the file of the call that it is about. Here is which
//! promise holds where; those that mean nothing in a folder stand apart, each with the reason. That memory does not grow
//! with a file is shown end to end, with two gigabytes through both programs.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod delete;
mod failures;
mod get;
mod list;
mod place;
mod put;
mod rights;
mod wire;

/// One module of tests for each place, with every promise in it.
macro_rules! promises {
    (
        everywhere { $($module:ident { $($promise:ident)* })* }
        on_s3_only { $($s3_module:ident { $($s3_promise:ident: $reason:literal,)* })* }
    ) => {
        mod a_folder {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::$module::$promise(&crate::place::Place::folder()).await;
                }
            )*)*
        }
        promises!(@s3 seaweedfs SeaweedFs $($module { $($promise)* })* $($s3_module { $($s3_promise)* })*);
        promises!(@s3 minio Minio $($module { $($promise)* })* $($s3_module { $($s3_promise)* })*);
    };
    (@s3 $name:ident $kind:ident $($module:ident { $($promise:ident)* })*) => {
        mod $name {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let kind = nightdrop_compose::S3Kind::$kind;
                    if let Some(place) = crate::place::Place::s3(kind).await {
                        crate::$module::$promise(&place).await;
                    }
                }
            )*)*
        }
    };
}

promises! {
    everywhere {
        put {
            what_is_put_is_listed_and_comes_back_byte_for_byte
            a_second_put_of_the_same_key_is_already_there_and_changes_nothing
            a_second_put_of_a_large_file_is_already_there
            of_eight_racing_creators_exactly_one_wins
        }
        list {
            an_empty_inbox_is_an_empty_page
            many_keys_come_in_pages_in_order
            a_listing_goes_on_after_a_key_that_does_not_exist
            strange_keys_are_reported_and_hide_nothing
        }
        get {
            an_object_that_was_replaced_is_changed
            an_object_that_is_gone_is_not_found
        }
        delete {
            deleting_many_answers_for_each_and_gone_ones_are_fine
            a_deleted_key_can_be_put_again
        }
        failures {
            what_does_not_exist_is_no_bucket
            a_file_that_can_not_be_read_is_io
        }
    }
    on_s3_only {
        put {
            a_cut_upload_leaves_nothing_and_the_key_free: "a folder has no connection to cut; a crash is in nightdrop-bucket's own tests",
        }
        rights {
            another_producers_prefix_is_forbidden: "a folder has no users",
            a_producer_can_not_list_get_or_delete: "a folder has no users",
            the_reader_can_not_put: "a folder has no users",
            a_listing_outside_the_inbox_is_forbidden: "a folder has no users",
            keys_that_nobody_knows_are_unauthenticated: "a folder has no keys",
            keys_are_read_again_when_refused: "a folder has no keys",
        }
        failures {
            nobody_listening_is_unreachable: "a folder has no server",
            no_error_shows_a_secret_or_a_signature: "a folder has no keys",
        }
        get {
            a_download_that_is_cut_is_an_error_and_no_end: "a folder has no connection to cut",
        }
    }
}
