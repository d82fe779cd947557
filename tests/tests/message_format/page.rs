//! The blocks of the page that send a file.

use std::path::Path;

use nightdrop_compose::S3Kind;

use crate::inbox::{Drop, needs, said};

/// A block of code on the page, and what follows the three backticks.
struct Block {
    info: String,
    code: String,
}

fn blocks() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/message-format.md");
    let page = std::fs::read_to_string(path).expect("docs/message-format.md");
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim_start() != "```")
                .collect();
            blocks.push(Block {
                info: info.to_owned(),
                code: code.join("\n") + "\n",
            });
        }
    }
    blocks
}

fn block(info: &str) -> Block {
    let mut found = blocks();
    found.retain(|block| block.info == info);
    assert_eq!(
        found.len(),
        1,
        "blocks of the page with the info string `{info}`"
    );
    found.remove(0)
}

/// Runs a block as jfk: the first time it makes the file, the second time it is told 412.
async fn sends_once(info: &str, program: &str, option: &str) {
    let (message, block) = (block("json file=departures.json"), block(info));
    for kind in S3Kind::available() {
        let drop = Drop::new(kind).unwrap();
        // A folder for each run: a person's second attempt does not start from the first one's leavings.
        let run = || {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("departures.json"), &message.code).unwrap();
            drop.run(program, &[option, &block.code], folder.path())
                .unwrap()
        };
        let first = run();
        assert!(first.status.success(), "{kind}, {info}: {}", said(&first));

        let dropped = drop.dropped().await.unwrap();
        assert_eq!(dropped.len(), 1, "{kind}, {info}");
        let (envelope, _, rows) = dropped[0].read().unwrap();
        assert_eq!(
            (envelope.source.as_str(), envelope.subject.as_str()),
            ("jfk", "departures")
        );
        assert_eq!(
            rows,
            [r#"String("UA") Int64(1545)"#, r#"String("AA") Int64(1141)"#]
        );

        let second = run();
        assert!(
            !second.status.success(),
            "{kind}, {info}: the second PUT of one key was taken"
        );
        let said = said(&second);
        assert!(
            said.contains("PreconditionFailed") || said.contains("412"),
            "{kind}, {info}: {said}"
        );
    }
}

#[tokio::test]
async fn the_lines_for_the_aws_command_line_send_a_file_once() {
    needs("aws", &["--version"], "pip install awscli");
    sends_once("sh send=aws", "sh", "-euc").await;
}

#[tokio::test]
async fn the_lines_for_curl_send_a_file_once() {
    needs("curl", &["--version"], "apt-get install curl");
    sends_once("sh send=curl", "sh", "-euc").await;
}

#[tokio::test]
async fn the_lines_for_boto3_send_a_file_once() {
    needs("python3", &["-c", "import boto3"], "pip install boto3");
    sends_once("python send=boto3", "python3", "-c").await;
}

#[test]
fn every_block_that_sends_is_run_here() {
    let sending: Vec<String> = blocks()
        .into_iter()
        .map(|block| block.info)
        .filter(|info| info.contains("send="))
        .collect();
    assert_eq!(
        sending,
        ["sh send=aws", "sh send=curl", "python send=boto3"]
    );
}
