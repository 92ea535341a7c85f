//! Cuts the text of a PHP file into names, texts, numbers and signs; comments and what is outside
//! of PHP go.
//!
//! Start reading at [`tokens`].

/// A piece of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lexeme {
    /// Where PHP begins.
    Open,
    /// A variable, without its `$`.
    Variable(String),
    /// A name: of a function, a constant, a keyword.
    Name(String),
    /// A text without variables in it.
    Text(String),
    /// A text with variables in it, or a heredoc.
    Mixed,
    /// A number.
    Number(f64),
    /// Any other character.
    Sign(char),
}

/// A piece and its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) lexeme: Lexeme,
    pub(super) line: usize,
}

/// What is left of a text.
struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

/// All pieces of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, line: 1, tokens: Vec::new() };
    while lexer.enter() {
        lexer.inside();
    }
    lexer.tokens
}

impl Lexer<'_> {
    /// Goes to where PHP begins (again); false at the end.
    fn enter(&mut self) -> bool {
        match self.rest.find("<?") {
            Some(at) => {
                self.skip(at + 2);
                if self.rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("php")) {
                    self.skip(3);
                }
                self.push(Lexeme::Open);
                true
            }
            None => false,
        }
    }

    /// Up to where PHP ends.
    fn inside(&mut self) {
        while let Some(letter) = self.rest.chars().next() {
            if self.rest.starts_with("?>") {
                self.skip(2);
                return;
            } else if letter.is_whitespace() {
                self.skip(letter.len_utf8());
            } else if self.rest.starts_with("/*") {
                let end = self.rest.get(2..).and_then(|rest| rest.find("*/")).map(|at| at + 4);
                self.skip(end.unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("//") || letter == '#' {
                // A comment of one line ends where PHP does, too.
                let ends = [self.rest.find('\n'), self.rest.find("?>")];
                let end = ends.into_iter().flatten().min();
                self.skip(end.unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("<<<") {
                self.heredoc();
            } else if letter == '\'' || letter == '"' {
                self.text(letter);
            } else if letter == '$' {
                let name = self.word(1);
                self.push(Lexeme::Variable(name.clone()));
                self.skip(1 + name.len());
            } else if letter.is_ascii_digit() {
                self.number();
            } else if is_of_name(letter) {
                let name = self.word(0);
                self.push(Lexeme::Name(name.clone()));
                self.skip(name.len());
            } else {
                self.push(Lexeme::Sign(letter));
                self.skip(letter.len_utf8());
            }
        }
    }

    /// The name behind the next `from` bytes.
    fn word(&self, from: usize) -> String {
        self.rest.get(from..).unwrap_or_default().chars().take_while(|&c| is_of_name(c)).collect()
    }

    fn number(&mut self) {
        let digits = |c: &char| c.is_ascii_digit() || matches!(c, '.' | '_');
        let text: String = self.rest.chars().take_while(digits).collect();
        match text.replace('_', "").parse() {
            Ok(number) => self.push(Lexeme::Number(number)),
            Err(_) => self.push(Lexeme::Mixed),
        }
        self.skip(text.len());
    }

    fn text(&mut self, quote: char) {
        let mut text = String::new();
        let mut mixed = false;
        let mut letters = self.rest.char_indices().skip(1).peekable();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                end = at + 1;
                break;
            }
            if letter == '$' && quote == '"' {
                let next = letters.peek().map(|(_, next)| *next);
                mixed |= next.is_some_and(|next| is_of_name(next) || next == '{');
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            let Some((at, escaped)) = letters.next() else { break };
            match (quote, escaped) {
                (_, '\\') => text.push('\\'),
                (_, escaped) if escaped == quote => text.push(quote),
                ('"', 'n') => text.push('\n'),
                ('"', 't') => text.push('\t'),
                ('"', 'r') => text.push('\r'),
                ('"', '$') => text.push('$'),
                ('"', 'x' | 'u') => {
                    let (letter, length) = code(self.rest.get(at..).unwrap_or_default());
                    mixed |= letter.is_none();
                    text.extend(letter);
                    for _ in 1..length {
                        letters.next();
                    }
                }
                // Octal numbers and others that nobody writes here.
                ('"', '0'..='7' | 'e' | 'f' | 'v') => mixed = true,
                (_, other) => text.extend(['\\', other]),
            }
        }
        self.push(if mixed { Lexeme::Mixed } else { Lexeme::Text(text) });
        self.skip(end);
    }

    /// A heredoc is passed over, up to a line that begins with its name.
    fn heredoc(&mut self) {
        let first = self.rest.lines().next().unwrap_or_default();
        let name: String = first.chars().filter(|&c| is_of_name(c)).collect();
        self.push(Lexeme::Mixed);
        let mut length = 0;
        for (number, line) in self.rest.split_inclusive('\n').enumerate() {
            let begin = line.trim_start();
            if number > 0 && !name.is_empty() && begin.starts_with(&name) {
                length += line.len() - begin.len() + name.len();
                break;
            }
            length += line.len();
        }
        self.skip(length);
    }

    fn push(&mut self, lexeme: Lexeme) {
        self.tokens.push(Token { lexeme, line: self.line });
    }

    /// Goes on behind `bytes`, which are whole characters.
    fn skip(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

/// The character that `x41` or `u{e4}` stands for, if it is one of ASCII or of Unicode, and the
/// length of its writing.
fn code(text: &str) -> (Option<char>, usize) {
    let (digits, length) = match text.strip_prefix("u{") {
        Some(rest) => {
            let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
            let length = digits.len() + 3;
            (digits, length)
        }
        None => {
            let digits: String =
                text.chars().skip(1).take(2).take_while(char::is_ascii_hexdigit).collect();
            let length = digits.len() + 1;
            (digits, length)
        }
    };
    let number = u32::from_str_radix(&digits, 16).ok();
    let is_whole = text.starts_with("u{") || number.is_some_and(|number| number < 0x80);
    (number.filter(|_| is_whole).and_then(char::from_u32), length)
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '\\' || !letter.is_ascii()
}
