//! Which keys agree with a message.

use nightdrop_schema::Key;
use serde::Deserialize;

use crate::{bytes, file, json, read};

/// `examples/keys.json`.
#[derive(Deserialize)]
struct Told {
    message: String,
    agree: Vec<String>,
    disagree: Vec<Refused>,
    no_keys: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    key: String,
    sentence: String,
}

#[test]
fn keys_agree_or_disagree_with_a_message_as_the_examples_say() {
    let keys: Told = json(&file("examples/keys.json"));
    let envelope = read(&bytes(&file("examples").join(keys.message)))
        .unwrap()
        .envelope;
    for key in &keys.agree {
        let parsed: Key = key.parse().unwrap_or_else(|why| panic!("{key}: {why}"));
        assert_eq!(parsed.to_string(), *key);
        envelope
            .agrees(&parsed)
            .unwrap_or_else(|why| panic!("{key}: {why}"));
    }
    for Refused { key, sentence } in keys.disagree {
        let parsed: Key = key.parse().unwrap_or_else(|why| panic!("{key}: {why}"));
        assert_eq!(
            envelope.agrees(&parsed).unwrap_err().to_string(),
            sentence,
            "{key}"
        );
    }
    for Refused { key, sentence } in keys.no_keys {
        assert_eq!(
            key.parse::<Key>().unwrap_err().to_string(),
            sentence,
            "{key}"
        );
    }
}
