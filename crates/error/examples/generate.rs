//! Writes `ts/error-codes.ts` and `docs/errors.md` from the table; with `--check` it only compares and fails on a difference.
//! Run from the repository's root: `npm run generate`.

use ocfs2_group_error::TABLE;
use std::path::Path;

fn typescript() -> String {
    let mut text =
        String::from("// Generated from crates/error/src/table.rs by `npm run generate`. Do not edit.\n\n");
    text.push_str("/** Every stable error code: its default sentence and, where one exists for all cases, the remedy. */\n");
    text.push_str("export const errorCodes = {\n");
    for entry in TABLE {
        text.push_str(&format!(
            "  {}: {{ sentence: {:?}, remedy: {:?} }},\n",
            entry.name, entry.sentence, entry.remedy
        ));
    }
    text.push_str("} as const;\n\nexport type ErrorCode = keyof typeof errorCodes;\n");
    text
}

fn markdown() -> String {
    let mut text =
        String::from("# Error codes\n\nGenerated from the table in `crates/error` by `npm run generate`. ");
    text.push_str("A code is never renamed or reused; messages may change.\n\n| code | meaning | what to do |\n| --- | --- | --- |\n");
    for entry in TABLE {
        text.push_str(&format!("| `{}` | {} | {} |\n", entry.name, entry.sentence, entry.remedy));
    }
    text
}

#[allow(clippy::disallowed_methods)] // A generator writes files and ends with a status; the rule is for the library.
fn main() {
    let check = std::env::args().any(|argument| argument == "--check");
    for (path, text) in [("ts/error-codes.ts", typescript()), ("docs/errors.md", markdown())] {
        let path = Path::new(path);
        if check {
            let now = std::fs::read_to_string(path).unwrap_or_default();
            assert!(now == text, "{} is out of date: run npm run generate", path.display());
        } else {
            std::fs::write(path, text).expect("writing a generated file");
        }
    }
}
