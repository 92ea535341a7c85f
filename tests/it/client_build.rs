//! How the build makes the browser client's script of its modules (`build/`), and what it refuses.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// The script that the build makes of `files`, or what it says is wrong with them.
fn build_of(files: &[(&str, &str)]) -> Result<String, String> {
    let directory = TempDir::new().unwrap();
    let sources = directory.path().join("clients/js/src");
    fs::create_dir_all(&sources).unwrap();
    for (name, text) in files {
        fs::write(sources.join(name), text).unwrap();
    }
    let build = Command::new(env!("CLIENT_COMPILER"))
        .current_dir(directory.path())
        .env("CARGO_PKG_VERSION", "1.2.3")
        .env("OUT_DIR", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(build.stdout).unwrap();
    let error = said.lines().find_map(|line| line.strip_prefix("cargo::error="));
    match error {
        Some(error) => Err(error.to_owned()),
        None => Ok(fs::read_to_string(directory.path().join("client.js")).unwrap()),
    }
}

#[test]
fn the_build_joins_modules_each_once_and_behind_what_it_needs() {
    let script = build_of(&[
        ("classic.ts", "import { b } from \"./b.js\";\nimport { a } from \"./a.js\";\nb(a);\n"),
        ("a.ts", "import type { T } from \"./types.js\";\nexport const a: T = 1 as T; // Said.\n"),
        (
            "b.ts",
            "import { a } from \"./a.js\";\n\nexport function b(x?: number) { return a ?? x; }\n",
        ),
    ])
    .unwrap();

    let (first, body) = script.split_once('\n').unwrap();
    assert_eq!(first, "/*! wavelog-worker-client 1.2.3, MIT licence */");
    assert!(body.starts_with("(function(){\"use strict\";const "), "{body}");
    assert_eq!(body.matches("const ").count(), 1, "{body}");
    for gone in ["import", "export", "number", "Said", "??", "as T"] {
        assert!(!body.contains(gone), "{gone} in {body}");
    }
}

#[test]
fn the_build_refuses_what_it_cannot_join_and_says_where() {
    let a = ("a.ts", "export const a = 1;\n");
    let with = |text: &'static str| build_of(&[("classic.ts", text), a]).unwrap_err();
    let at = |line: &str, message: &str| format!("clients/js/src/classic.ts:{line}: {message}");
    let own_names = "import values by their own names, types by import type";
    let in_front = "write export in front of the declaration itself";

    for text in [
        "\nimport { a as b } from \"./a.js\";",
        "\nimport a from \"./a.js\";",
        "\nimport * as a from \"./a.js\";",
        "\nimport { type a } from \"./a.js\";",
    ] {
        assert_eq!(with(text), at("2", own_names), "{text}");
    }
    for text in
        ["const b = 1;\nexport { b };", "\nexport default 1;", "\nexport * from \"./a.js\";"]
    {
        assert_eq!(with(text), at("2", in_front), "{text}");
    }
    for text in ["import { a } from \"a\";", "import { a } from \"./a\";", "import \"../a.js\";"] {
        let beside = "import from a file beside this one, as in \"./name.js\"";
        assert_eq!(with(text), at("1", beside), "{text}");
    }
    assert_eq!(with("import { b } from \"./a.js\";"), at("1", "a.ts does not export b"));
    assert_eq!(
        with("import { a } from \"./a.js\";\nconst x = 1;\n\nlet a = 2;"),
        at("4", "Identifier `a` has already been declared")
    );
    assert!(with("\n\nconst = 1;").starts_with(&at("3", "")), "{}", with("\n\nconst = 1;"));
    let missing = with("import { b } from \"./b.js\";");
    assert!(missing.starts_with("clients/js/src/b.ts: cannot be read: "), "{missing}");
    let circle = [
        ("classic.ts", "import { a } from \"./a.js\";\nexport const c = a;"),
        ("a.ts", "\nimport { c } from \"./classic.js\";\nexport const a = c;"),
    ];
    let circle = build_of(&circle).unwrap_err();
    let expected = "clients/js/src/a.ts:2: classic.ts needs this module itself; break the circle";
    assert_eq!(circle, expected);
}
