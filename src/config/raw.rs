//! YAML (and so JSON) into a flat list of keys, values and lines.
//!
//! Values stay the text they were written as: an unquoted secret that looks like a number is not
//! one yet. Knows nothing of which keys exist (`keys`) or what they take (`value`). Start reading
//! at [`parse`].

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

/// What a file says.
#[derive(Default)]
pub struct Document {
    /// The keys in the order of the file, each once.
    pub entries: Vec<Entry>,
    /// What is wrong with the file as a whole, though it can be read.
    pub flaws: Vec<Flaw>,
}

/// A key with its value.
pub struct Entry {
    /// The key.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// The line of the key, counted from 1.
    pub line: u32,
}

/// What a key is set to. It has no `Debug`, since it may be the secret.
#[derive(Clone)]
pub enum Value {
    /// Nothing: no text, `~` or `null`.
    Null,
    /// A text, a number, a truth value: YAML's kinds are not told apart.
    Scalar(Scalar),
    /// A list of such.
    List(Vec<Scalar>),
    /// Anything else; no key of ours takes it.
    Nested,
}

impl Value {
    /// `text` as a value without quotes.
    pub fn plain(text: &str) -> Self {
        Self::Scalar(Scalar { text: text.to_owned(), quoted: false })
    }
}

/// One text.
#[derive(Clone)]
pub struct Scalar {
    /// The text, without quotes and escapes.
    pub text: String,
    /// Whether it stood in quotes or was a block, and so is certainly no number.
    pub quoted: bool,
}

/// A file cannot be read any further, or a part of it has no meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Whether the file can be used in spite of it.
    pub harmless: bool,
    /// The line, counted from 1.
    pub line: u32,
    /// The key it concerns, if it concerns one.
    pub key: Option<String>,
    /// What is wrong. It quotes nothing of the file but the names of keys.
    pub what: String,
    /// What to do about it.
    pub fix: &'static str,
}

/// Returns the keys of `text`. Nothing, `null` and comments alone are a document without keys.
///
/// Keys given twice and documents behind the first are flaws beside the entries.
///
/// # Errors
///
/// The flaw that ends the reading: it is not YAML, or no mapping.
pub fn parse(text: &str) -> Result<Document, Flaw> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        anchors: HashMap::new(),
    };
    let mut document = Document::default();

    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(document),
            (Event::MappingStart(..), _) => break,
            (Event::Scalar(text, style, _, tag), line) => {
                match reader.scalar(&text, style, 0, tag.as_deref(), line)? {
                    Value::Null => return Ok(document),
                    _ => return Err(no_mapping(line)),
                }
            }
            (Event::SequenceStart(..) | Event::Alias(_), line) => return Err(no_mapping(line)),
            _ => {}
        }
    }
    while let Some(entry) = reader.entry()? {
        match document.entries.iter().find(|earlier| earlier.key == entry.key) {
            Some(first) => document.flaws.push(Flaw {
                harmless: false,
                line: entry.line,
                what: format!("the key is given twice, first in line {}", first.line),
                key: Some(entry.key),
                fix: "keep one of the two",
            }),
            None => document.entries.push(entry),
        }
    }
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(document),
            (Event::DocumentStart(_), line) => {
                document.flaws.push(Flaw {
                    harmless: true,
                    line,
                    key: None,
                    what: "a second document begins here and is ignored".to_owned(),
                    fix: "remove it, or the `---` before it",
                });
                return Ok(document);
            }
            _ => {}
        }
    }
}

/// The parser, and the texts that were given a name to be repeated by.
struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
}

impl<'a> Reader<'a> {
    /// The next event with its line; behind the last one, always the end.
    fn next(&mut self) -> Result<(Event<'a>, u32), Flaw> {
        match self.parser.next_event() {
            None => Ok((Event::StreamEnd, 0)),
            Some(Ok((event, span))) => Ok((event, line(span))),
            Some(Err(error)) => Err(not_yaml(&error)),
        }
    }

    /// The next key with its value; `None` at the end of the mapping.
    fn entry(&mut self) -> Result<Option<Entry>, Flaw> {
        let (event, line) = self.next()?;
        if event == Event::MappingEnd {
            return Ok(None);
        }
        let Value::Scalar(Scalar { text: key, .. }) = self.value(event, line)? else {
            return Err(Flaw {
                harmless: false,
                line,
                key: None,
                what: "expected a key, found something that is no name".to_owned(),
                fix: "write it as `key: value`",
            });
        };
        let (event, value_line) = self.next()?;
        let value = self.value(event, value_line)?;
        Ok(Some(Entry { key, value, line }))
    }

    /// The value that begins with `event`, read to its end.
    fn value(&mut self, event: Event<'a>, line: u32) -> Result<Value, Flaw> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), line)
            }
            Event::Alias(anchor) => Ok(self.anchors.get(&anchor).cloned().unwrap_or(Value::Nested)),
            Event::SequenceStart(..) => self.list(),
            Event::MappingStart(..) => self.nested(),
            _ => Ok(Value::Nested),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: u32,
    ) -> Result<Value, Flaw> {
        let quoted = match tag {
            None => style != ScalarStyle::Plain,
            Some(tag) if tag.is_yaml_core_schema() => tag.suffix == "str",
            Some(_) => {
                return Err(Flaw {
                    harmless: false,
                    line,
                    key: None,
                    what: "a value has a tag of its own, which means nothing here".to_owned(),
                    fix: "remove the word with the exclamation mark, or put the value in quotes",
                });
            }
        };
        let value = match text {
            "" | "~" | "null" | "Null" | "NULL" if !quoted => Value::Null,
            _ => Value::Scalar(Scalar { text: text.to_owned(), quoted }),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    /// A list whose start has been read; nested, if it holds anything but texts.
    fn list(&mut self) -> Result<Value, Flaw> {
        let mut items = Some(Vec::new());
        loop {
            let (event, line) = self.next()?;
            match event {
                Event::SequenceEnd => return Ok(items.map_or(Value::Nested, Value::List)),
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    self.nested()?;
                    items = None;
                }
                event => match (self.value(event, line)?, &mut items) {
                    (Value::Scalar(item), Some(items)) => items.push(item),
                    _ => items = None,
                },
            }
        }
    }

    /// Skips a list or mapping whose start has been read. Texts in it can still be repeated.
    fn nested(&mut self) -> Result<Value, Flaw> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next()? {
                (Event::SequenceStart(..) | Event::MappingStart(..), _) => depth += 1,
                (Event::SequenceEnd | Event::MappingEnd, _) => depth -= 1,
                (Event::Scalar(text, style, anchor, tag), line) => {
                    self.scalar(&text, style, anchor, tag.as_deref(), line)?;
                }
                (Event::StreamEnd, _) => break,
                _ => {}
            }
        }
        Ok(Value::Nested)
    }
}

fn line(span: Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn no_mapping(line: u32) -> Flaw {
    Flaw {
        harmless: false,
        line,
        key: None,
        what: "expected keys with values, found something else".to_owned(),
        fix: "write lines such as `ws_port: 9000`, with a colon and a space",
    }
}

fn not_yaml(error: &ScanError) -> Flaw {
    let marker = error.marker();
    Flaw {
        harmless: false,
        line: u32::try_from(marker.line()).unwrap_or(u32::MAX),
        key: None,
        what: format!("not valid YAML at column {}: {}", marker.col() + 1, error.info()),
        fix: "mend this line or the one above; a value with special characters belongs in quotes",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every entry as `line key=value`, texts in quotes marked with `'`.
    fn shown(text: &str) -> Vec<String> {
        let document = parse(text).unwrap_or_else(|flaw| panic!("{text:?}: {flaw:?}"));
        assert_eq!(document.flaws, [], "{text:?}");
        document
            .entries
            .iter()
            .map(|entry| format!("{} {}={}", entry.line, entry.key, shown_value(&entry.value)))
            .collect()
    }

    fn shown_value(value: &Value) -> String {
        let scalar = |scalar: &Scalar| {
            if scalar.quoted { format!("'{}'", scalar.text) } else { scalar.text.clone() }
        };
        match value {
            Value::Null => "NULL".to_owned(),
            Value::Scalar(text) => scalar(text),
            Value::List(items) => {
                format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join("|"))
            }
            Value::Nested => "NESTED".to_owned(),
        }
    }

    fn refused(text: &str) -> Flaw {
        match parse(text) {
            Err(flaw) => flaw,
            Ok(_) => panic!("{text:?} was read"),
        }
    }

    #[test]
    fn keys_come_with_their_lines_and_their_texts_as_written() {
        let text = "# comment\nws_port: 8000\n\nws_bind: '::1' # more\nworker_secret: \"a\\tb\"\nx: |\n  one\n  two\ny: 1\n";

        assert_eq!(
            shown(text),
            [
                "2 ws_port=8000",
                "4 ws_bind='::1'",
                "5 worker_secret='a\tb'",
                "6 x='one\ntwo\n'",
                "9 y=1"
            ]
        );
    }

    #[test]
    fn texts_that_look_like_numbers_stay_texts() {
        for text in [
            "01234567",
            "0x1F",
            "1e5",
            "1_000",
            "12345678901234567890123",
            "1.10",
            "yes",
            "2001-01-01",
        ] {
            assert_eq!(shown(&format!("k: {text}")), [format!("1 k={text}")]);
        }
    }

    #[test]
    fn nothing_and_null_are_null_and_quotes_are_not() {
        assert_eq!(
            shown("a:\nb: ~\nc: null\nd: \"\"\ne: 'null'\nf: # comment\ng: !!str\n"),
            ["1 a=NULL", "2 b=NULL", "3 c=NULL", "4 d=''", "5 e='null'", "6 f=NULL", "7 g=''"]
        );
    }

    #[test]
    fn a_file_without_keys_is_a_document_without_keys() {
        for text in [
            "",
            "\n\n",
            "# only a comment\n",
            "---\n",
            "null",
            "~\n",
            "{}",
            "\u{feff}",
            "--- \n...\n",
        ] {
            assert_eq!(shown(text), [""; 0], "{text:?}");
        }
    }

    #[test]
    fn crlf_json_tabs_and_a_byte_order_mark_are_fine() {
        assert_eq!(shown("a: 1\r\nb: two\r\n"), ["1 a=1", "2 b=two"]);
        assert_eq!(shown("\u{feff}a: 1\n"), ["1 a=1"]);
        assert_eq!(
            shown("{\n\t\"a\": 1,\n\t\"b\": \"x\",\n\t\"c\": null, \"d\": [\"y\", 2]\n}\n"),
            ["2 a=1", "3 b='x'", "4 c=NULL", "4 d=['y'|2]"]
        );
        assert_eq!(shown("{\"a\":1,\"b\":[]}"), ["1 a=1", "1 b=[]"]);
    }

    #[test]
    fn lists_are_read_and_deeper_things_are_skipped() {
        assert_eq!(
            shown("a:\n  - 1\n  - 'x'\nb: [1, [2, 3], 4]\nc: {d: {e: [1]}}\nf: [~]\ng: 1\n"),
            ["1 a=[1|'x']", "4 b=NESTED", "5 c=NESTED", "6 f=NESTED", "7 g=1"]
        );
    }

    #[test]
    fn an_alias_repeats_a_text() {
        assert_eq!(
            shown(
                "a: &port 8000\nb: *port\nc: {d: &deep 'x'}\ne: [*deep]\nf: &list [1]\ng: *list\n"
            ),
            ["1 a=8000", "2 b=8000", "3 c=NESTED", "4 e=['x']", "5 f=[1]", "6 g=NESTED"]
        );
    }

    #[test]
    fn a_key_given_twice_is_a_flaw_with_both_lines() {
        let document = parse("a: 1\nb: 2\na: 3\n").unwrap_or_else(|flaw| panic!("{flaw:?}"));

        assert_eq!(document.entries.len(), 2);
        assert_eq!(document.flaws.len(), 1);
        assert_eq!(document.flaws[0].line, 3);
        assert_eq!(document.flaws[0].key.as_deref(), Some("a"));
        assert_eq!(document.flaws[0].what, "the key is given twice, first in line 1");
        assert!(!document.flaws[0].harmless);
    }

    #[test]
    fn only_the_first_document_counts() {
        let document = parse("a: 1\n---\na: 2\n").unwrap_or_else(|flaw| panic!("{flaw:?}"));

        assert_eq!(document.entries.len(), 1);
        assert!(document.flaws[0].harmless);
        assert_eq!(document.flaws[0].line, 2);
    }

    #[test]
    fn what_is_no_mapping_is_refused_without_being_quoted() {
        for text in
            ["hunter2", "- hunter2\n", "\n[hunter2]", "worker_secret=hunter2", "\"hunter2\""]
        {
            let flaw = refused(text);

            assert!(flaw.what.starts_with("expected keys with values"), "{flaw:?}");
            assert!(!format!("{flaw:?}").contains("hunter2"));
        }
        assert_eq!(refused("\n\n- a").line, 3);
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line() {
        assert_eq!(refused("a: 1\nb: [1\n").line, 3);
        assert_eq!(
            refused("a: 1\nb: \"x\n").what.split(':').next(),
            Some("not valid YAML at column 4")
        );
        for text in [
            "a: 1\n  b: 2\n",
            "a: @x\n",
            "a: *nowhere\n",
            "a: {",
            "{a: 1} b",
            "? [a]\n: 1\n",
            "a: !own x\n",
        ] {
            assert!(!refused(text).harmless, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "(\\PC|[\\n\\t :#&*!\\[\\]{},'\"|>-]){0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_as_json_is_read_back(value in "\\PC{0,40}") {
            let text = format!("{{\"k\": {}}}", serde_json::to_string(&value).unwrap());
            let document = parse(&text).unwrap_or_else(|flaw| panic!("{flaw:?}"));

            prop_assert!(matches!(&document.entries[0].value, Value::Scalar(s) if s.text == value && s.quoted));
        }
    }
}
