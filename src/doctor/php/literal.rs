//! Reads the settings of a PHP file without running it: what stands there literally.
//!
//! `$config['name'] = value;` with texts, numbers, lists, and `getenv('X') ?: value`. What only PHP
//! can know, such as a constant, is said to be unreadable, and why. Pure; never fails and never
//! guesses. Start reading at [`read`].

use std::collections::BTreeMap;
use std::fmt;

use super::lexer::{Lexeme, Token, tokens};

/// Pieces that a value may have.
const MOST_TOKENS: usize = 1000;

/// What a setting is set to.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
    /// A list; its keys are not kept.
    List(Vec<Value>),
    /// What an environment variable of PHP's says, else this.
    Variable {
        /// Its name.
        name: String,
        /// What is used without it.
        default: Box<Value>,
    },
    /// Only PHP knows.
    Unreadable(String),
}

/// Hides texts, one of which is the secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Number(number) => write!(f, "Number({number})"),
            Self::Bool(bool) => write!(f, "Bool({bool})"),
            Self::Null => f.write_str("Null"),
            Self::List(all) => f.debug_list().entries(all).finish(),
            Self::Variable { name, default } => write!(f, "Variable({name}, {default:?})"),
            Self::Unreadable(why) => write!(f, "Unreadable({why})"),
        }
    }
}

/// A setting, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What it is set to.
    pub value: Value,
    /// The line, from 1.
    pub line: usize,
}

/// All `$config['name'] = …;` of a file's text, the last one of each name.
pub fn read(text: &str) -> BTreeMap<String, Setting> {
    let tokens = tokens(text);
    let mut settings = BTreeMap::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match &token.lexeme {
            Lexeme::Sign('{') => depth += 1,
            Lexeme::Sign('}') => depth = depth.saturating_sub(1),
            Lexeme::Variable(name) if name == "config" => {
                let begins = at.checked_sub(1).and_then(|before| tokens.get(before));
                let is_bare = begins.is_none_or(|before| {
                    matches!(before.lexeme, Lexeme::Sign(';' | '{' | '}') | Lexeme::Open)
                });
                if let Some((name, from)) = assigned(&tokens[at..]) {
                    let from = at + from;
                    let end = statement(&tokens, from);
                    let value = match depth == 0 && is_bare {
                        true if end - from > MOST_TOKENS => unreadable("it is very long"),
                        true => evaluate(&tokens[from..end]),
                        false => Value::Unreadable("it is set under a condition".to_owned()),
                    };
                    settings.insert(name, Setting { value, line: token.line });
                    at = end;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    settings
}

/// The name in `$config['name'] =` at the start of `tokens`, and where the value begins.
fn assigned(tokens: &[Token]) -> Option<(String, usize)> {
    let lexemes: Vec<&Lexeme> = tokens.iter().take(6).map(|token| &token.lexeme).collect();
    match lexemes.as_slice() {
        // Of ==, => and so on the next one is a sign, too.
        [_, Lexeme::Sign('['), Lexeme::Text(name), Lexeme::Sign(']'), Lexeme::Sign('='), next]
            if !matches!(next, Lexeme::Sign('=' | '>')) =>
        {
            Some((name.clone(), 5))
        }
        _ => None,
    }
}

/// Where the statement that goes on at `from` ends.
fn statement(tokens: &[Token], from: usize) -> usize {
    let rest = tokens.get(from..).unwrap_or_default();
    let end = rest.iter().position(|token| token.lexeme == Lexeme::Sign(';'));
    end.map_or(tokens.len(), |end| from + end)
}

fn evaluate(tokens: &[Token]) -> Value {
    if let Some((left, right)) =
        split_once(tokens, &['?', ':']).or_else(|| split_once(tokens, &['?', '?']))
    {
        return match variable(left) {
            Some(name) => Value::Variable { name, default: Box::new(evaluate(right)) },
            None => unreadable("an expression"),
        };
    }
    if split_once(tokens, &['?']).is_some() {
        return unreadable("it depends on a condition");
    }
    if let Some((left, right)) = split_once(tokens, &['.']) {
        return match (text(evaluate(left)), text(evaluate(right))) {
            (Ok(left), Ok(right)) => Value::Text(left + &right),
            (Err(why), _) | (_, Err(why)) => why,
        };
    }
    if let Some((left, right)) = split_once(tokens, &['*']) {
        return match (evaluate(left), evaluate(right)) {
            (Value::Number(left), Value::Number(right)) => Value::Number(left * right),
            _ => unreadable("an expression"),
        };
    }
    single(tokens)
}

fn single(tokens: &[Token]) -> Value {
    let lexemes: Vec<&Lexeme> = tokens.iter().map(|token| &token.lexeme).collect();
    match lexemes.as_slice() {
        [Lexeme::Text(text)] => Value::Text(text.clone()),
        [Lexeme::Mixed] => unreadable("a text with a variable in it"),
        [Lexeme::Number(number)] => Value::Number(*number),
        [Lexeme::Sign('-'), Lexeme::Number(number)] => Value::Number(-number),
        [Lexeme::Name(name)] => match name.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => Value::Unreadable(format!("the constant {name}")),
        },
        [Lexeme::Sign('['), .., Lexeme::Sign(']')] => list(inner(tokens, 1)),
        [Lexeme::Name(name), Lexeme::Sign('('), .., Lexeme::Sign(')')]
            if name.eq_ignore_ascii_case("array") =>
        {
            list(inner(tokens, 2))
        }
        // A cast changes nothing that matters here.
        [Lexeme::Sign('('), Lexeme::Name(_), Lexeme::Sign(')'), _, ..] => {
            evaluate(tokens.get(3..).unwrap_or_default())
        }
        [Lexeme::Sign('('), .., Lexeme::Sign(')')] => evaluate(inner(tokens, 1)),
        _ => match variable(tokens) {
            Some(name) => Value::Variable { name, default: Box::new(Value::Null) },
            None => unreadable("an expression"),
        },
    }
}

/// Without the first `from` and the last.
fn inner(tokens: &[Token], from: usize) -> &[Token] {
    tokens.get(from..tokens.len().saturating_sub(1)).unwrap_or_default()
}

fn list(tokens: &[Token]) -> Value {
    let mut all = Vec::new();
    let mut rest = tokens;
    while !rest.is_empty() {
        let (item, after) = split_once(rest, &[',']).unwrap_or((rest, &[]));
        let item = split_once(item, &['=', '>']).map_or(item, |(_, value)| value);
        if !item.is_empty() {
            all.push(evaluate(item));
        }
        rest = after;
    }
    Value::List(all)
}

/// The environment variable that is asked for: `getenv('X')`, `env('X')`, `$_ENV['X']`,
/// `$_SERVER['X']`.
fn variable(tokens: &[Token]) -> Option<String> {
    let lexemes: Vec<&Lexeme> = tokens.iter().map(|token| &token.lexeme).collect();
    match lexemes.as_slice() {
        [Lexeme::Name(function), Lexeme::Sign('('), Lexeme::Text(name), Lexeme::Sign(')')]
            if ["getenv", "env"]
                .iter()
                .any(|known| function.trim_start_matches('\\').eq_ignore_ascii_case(known)) =>
        {
            Some(name.clone())
        }
        [Lexeme::Variable(array), Lexeme::Sign('['), Lexeme::Text(name), Lexeme::Sign(']')]
            if matches!(array.as_str(), "_ENV" | "_SERVER") =>
        {
            Some(name.clone())
        }
        _ => None,
    }
}

/// What stands before and behind the first `signs` that are in no brackets.
fn split_once<'a>(tokens: &'a [Token], signs: &[char]) -> Option<(&'a [Token], &'a [Token])> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.lexeme {
            Lexeme::Sign('(' | '[' | '{') => depth += 1,
            Lexeme::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                let found = tokens.get(at..at + signs.len())?;
                if found.iter().zip(signs).all(|(token, sign)| token.lexeme == Lexeme::Sign(*sign))
                {
                    return Some((&tokens[..at], &tokens[at + signs.len()..]));
                }
            }
            _ => {}
        }
    }
    None
}

fn text(value: Value) -> Result<String, Value> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        unreadable @ Value::Unreadable(_) => Err(unreadable),
        _ => Err(unreadable("an expression")),
    }
}

fn unreadable(why: &str) -> Value {
    Value::Unreadable(why.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Value {
        let all = read(&format!("<?php\n$config['a'] = {text};\n"));
        all.get("a").unwrap_or_else(|| panic!("{text}: {all:?}")).value.clone()
    }

    fn word(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn literals_are_read_as_php_reads_them() {
        for (text, expected) in [
            ("'it\\'s \\n'", word("it's \\n")),
            ("\"a\\n\\\"\\x41\\u{e4}\\$\"", word("a\n\"A\u{e4}$")),
            ("'a' . \"b\" . 3", word("ab3")),
            ("FALSE", Value::Bool(false)),
            ("True", Value::Bool(true)),
            ("null", Value::Null),
            ("1.5", Value::Number(1.5)),
            ("-1", Value::Number(-1.0)),
            ("60 * 60 * 24", Value::Number(86_400.0)),
            ("86_400", Value::Number(86_400.0)),
            ("(int) '5'", word("5")),
            ("('x')", word("x")),
            ("['x', 'y',]", Value::List(vec![word("x"), word("y")])),
            ("array('k' => 'x')", Value::List(vec![word("x")])),
            ("[]", Value::List(Vec::new())),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn variables_of_the_environment_are_named() {
        for text in [
            "getenv('X') ?: 'd'",
            "$_ENV['X'] ?? 'd'",
            "$_SERVER[\"X\"] ?? \"d\"",
            "env('X') ?: 'd'",
        ] {
            let default = Box::new(word("d"));
            assert_eq!(value(text), Value::Variable { name: "X".to_owned(), default }, "{text}");
        }
    }

    #[test]
    fn what_only_php_knows_is_unreadable() {
        for text in [
            "SECRET",
            "FOO . 'x'",
            "\"a$b\"",
            "\"{$b}\"",
            "file_get_contents('x')",
            "$x",
            "A ? 'b' : 'c'",
            "<<<X\na\nX",
            "!true",
        ] {
            assert!(matches!(value(text), Value::Unreadable(_)), "{text}: {:?}", value(text));
        }
    }

    #[test]
    fn comments_and_other_code_are_passed_over() {
        let all = read(
            "<?php defined('BASEPATH') OR exit('No; $config[\\'a\\'] = 9;');\n\
             // $config['a'] = 1;\n# $config['a'] = 2;\n/* $config['a'] = 3; */\n\
             $config['a'] /* here */ = 'good'; // 'x'\n\
             if ($config['a'] == 'x') { $config['b'] = 'y'; }\n\
             if (X) $config['c'] = 'z';\n\
             $config['d']['e'] = 1;\n?> $config['a'] = 5; <?php $config['f'] = 6;",
        );

        assert_eq!(all["a"], Setting { value: word("good"), line: 5 });
        assert!(matches!(all["b"].value, Value::Unreadable(_)));
        assert!(matches!(all["c"].value, Value::Unreadable(_)));
        assert_eq!(all["f"].value, Value::Number(6.0));
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b", "c", "f"]);
    }

    #[test]
    fn a_value_does_not_show_itself() {
        assert_eq!(format!("{:?}", value("'hunter2'")), "Text(7 bytes)");
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(text in "(<\\?php)?[ \\n$a-c'\"\\\\\\[\\]=;?:.,(){}<*/#1-]{0,60}") {
            let _ = read(&text);
            let _ = read(&format!("<?php $config['a'] = {text};"));
        }
    }
}
