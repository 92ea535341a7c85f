//! The pages of the manual as a reader of Markdown sees them: headings, links, fenced blocks.
//!
//! It knows as much of Markdown as these pages use. `docs/SUMMARY.md` says which pages there are.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// One page.
pub struct Page {
    /// Below the root of the repository, such as `docs/install.md`.
    pub path: String,
    pub text: String,
}

/// What a page consists of beside its text.
#[derive(Debug, Clone)]
pub enum Item {
    Comment(Comment),
    Block(Block),
}

/// A comment, which no reader sees; tests take instructions from it.
#[derive(Debug, Clone)]
pub struct Comment {
    pub text: String,
    /// Its first line, from 1.
    pub line: usize,
}

/// A fenced block.
#[derive(Debug, Clone)]
pub struct Block {
    /// What stands behind the fence, such as `sh`.
    pub language: String,
    pub text: String,
    /// Line of the opening fence, from 1.
    pub line: usize,
    /// The file that it is: the last paragraph above it has a **`name`**.
    pub file: Option<String>,
}

/// A link or an image.
#[derive(Debug)]
pub struct Target {
    pub line: usize,
    pub to: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Page {
    /// Reads one page.
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path))
            .unwrap_or_else(|error| panic!("{path} cannot be read: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// Every page that the table of contents names, and that table itself.
    pub fn all() -> Vec<Self> {
        let contents = Self::read("docs/SUMMARY.md");
        let mut pages: Vec<Self> =
            contents.links().iter().map(|link| Self::read(&contents.resolve(&link.to).0)).collect();
        pages.push(contents);
        pages
    }

    /// Where a relative link leads: a path below the root, and the anchor behind it.
    pub fn resolve(&self, link: &str) -> (String, Option<String>) {
        let (path, anchor) = match link.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (link, None),
        };
        if path.is_empty() {
            return (self.path.clone(), anchor);
        }
        let mut whole = PathBuf::from(&self.path);
        whole.pop();
        for part in Path::new(path).components() {
            match part {
                Component::ParentDir => assert!(whole.pop(), "{}: {link} leads out", self.path),
                Component::CurDir => {}
                part => whole.push(part),
            }
        }
        (whole.to_str().unwrap().to_owned(), anchor)
    }

    /// Its lines with their numbers, each with whether it stands in a fenced block.
    fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let mut fence: Option<usize> = None;
        self.text.lines().enumerate().map(move |(index, line)| {
            let ticks = line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
            let inside = fence.is_some();
            match fence {
                None if ticks >= 3 => fence = Some(ticks),
                Some(open) if ticks >= open && line.trim().bytes().all(|byte| byte == b'`') => {
                    fence = None;
                }
                _ => {}
            }
            (index + 1, line, inside || ticks >= 3)
        })
    }

    /// Links and images outside of code.
    pub fn links(&self) -> Vec<Target> {
        let mut links = Vec::new();
        for (line, text, code) in self.lines() {
            if code {
                continue;
            }
            let prose = without_code(text);
            for (at, _) in prose.match_indices("](") {
                let to: String = prose[at + 2..].chars().take_while(|c| *c != ')').collect();
                links.push(Target { line, to });
            }
        }
        links
    }

    /// The anchors of its headings, as forges make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line, code) in self.lines() {
            let Some((marks, title)) = line.split_once(' ') else { continue };
            if code || marks.is_empty() || !marks.bytes().all(|byte| byte == b'#') {
                continue;
            }
            let anchor = slug(title);
            let same = anchors
                .iter()
                .filter(|other| {
                    **other == anchor
                        || other
                            .strip_prefix(&format!("{anchor}-"))
                            .is_some_and(|number| number.parse::<u32>().is_ok())
                })
                .count();
            anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
        }
        anchors
    }

    /// Its comments and fenced blocks, in order; what is indented in a list is moved to the left.
    pub fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut comment: Option<Comment> = None;
        let mut block: Option<(usize, Block)> = None;
        let mut paragraph = String::new();
        for (number, line, code) in self.lines() {
            let trimmed = line.trim();
            if let Some((indent, mut open)) = block.take() {
                if trimmed.starts_with("```") && trimmed.bytes().all(|byte| byte == b'`') {
                    items.push(Item::Block(open));
                } else {
                    open.text.push_str(line.get(indent..).unwrap_or(line.trim_start()));
                    open.text.push('\n');
                    block = Some((indent, open));
                }
            } else if code {
                let language = trimmed.trim_start_matches('`').to_owned();
                let file = bold_code(&std::mem::take(&mut paragraph));
                let indent = line.len() - line.trim_start().len();
                block = Some((indent, Block { language, text: String::new(), line: number, file }));
            } else if comment.is_some() || trimmed.starts_with("<!--") {
                let mut open = comment.unwrap_or(Comment { text: String::new(), line: number });
                open.text
                    .push_str(trimmed.trim_start_matches("<!--").trim_end_matches("-->").trim());
                open.text.push('\n');
                comment = (!trimmed.ends_with("-->")).then_some(open.clone());
                if comment.is_none() {
                    items.push(Item::Comment(open));
                }
            } else if trimmed.is_empty() {
                paragraph.push('\n');
            } else {
                if paragraph.ends_with('\n') {
                    paragraph.clear();
                }
                paragraph.push_str(trimmed);
            }
        }
        assert!(block.is_none() && comment.is_none(), "{}: something is not closed", self.path);
        items
    }

    /// Its fenced blocks, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let items = self.items().into_iter();
        items
            .filter_map(|item| match item {
                Item::Block(block) => Some(block),
                Item::Comment(_) => None,
            })
            .collect()
    }
}

/// The first **`text`** in a paragraph.
fn bold_code(paragraph: &str) -> Option<String> {
    let (_, rest) = paragraph.split_once("**`")?;
    Some(rest.split_once("`**")?.0.to_owned())
}

/// A line without what stands in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("x")
}

/// The anchor of a heading: small letters, digits, `_` and `-`; spaces are `-`.
fn slug(title: &str) -> String {
    let mut plain = title.trim().to_owned();
    while let Some((start, end)) =
        plain.find("](").and_then(|middle| Some((middle, middle + plain[middle..].find(')')?)))
    {
        plain.replace_range(start..=end, "");
    }
    plain
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}
