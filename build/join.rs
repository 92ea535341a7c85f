//! Makes one text of the client's modules, in the order in which they need each other.
//!
//! Imports and the word `export` are blanked out, and the rest stays where it was, so that a place
//! in the text is a place in a file. That is all a bundler has to do as long as modules import by
//! name, from files beside them, what is declared at their top level; anything else is refused.
//! That no name is declared twice is found out later, by whoever reads the whole text. Start
//! reading at [`join`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Declaration, ImportDeclaration, ImportDeclarationSpecifier, ImportOrExportKind, Statement,
};
use oxc_parser::Parser;
use oxc_span::{GetSpan, SourceType, Span};

/// What is wrong with the sources, and where.
#[derive(Debug)]
pub struct Problem {
    file: PathBuf,
    /// Counted from 1; 0 is the file as a whole.
    line: usize,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// Modules as one text.
#[derive(Debug, Default)]
pub struct Joined {
    /// The text, without imports and exports.
    pub text: String,
    /// Where each file is in it.
    files: Vec<(PathBuf, Range<usize>)>,
}

impl Joined {
    /// A problem at a place in the text, told by its file and line.
    pub fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        let has_it = |(_, range): &&(PathBuf, Range<usize>)| range.contains(&at);
        let (file, line) = match self.files.iter().find(has_it) {
            Some((file, range)) => {
                (file.clone(), line_of(&self.text[range.clone()], at - range.start))
            }
            None => Default::default(),
        };
        Problem { file, line, message: message.into() }
    }

    fn add(&mut self, module: Module) {
        let start = self.text.len();
        self.text.push_str(&module.text);
        self.files.push((module.path, start..self.text.len()));
        self.text.push('\n');
    }
}

/// The module `entry` in `folder` and all that it imports, each behind what it imports itself.
///
/// # Errors
///
/// [`Problem`] if a file cannot be read, is not TypeScript, or imports and exports in another way
/// than the head of this file says; and if modules import each other in a circle.
pub fn join(folder: &Path, entry: &str) -> Result<Joined, Problem> {
    let mut joiner = Joiner { folder, modules: BTreeMap::new(), joined: Joined::default() };
    joiner.visit(entry, None)?;
    Ok(joiner.joined)
}

struct Joiner<'a> {
    folder: &'a Path,
    /// What each module exports; `None` while what it imports is visited.
    modules: BTreeMap<String, Option<Vec<String>>>,
    joined: Joined,
}

/// A module, read.
struct Module {
    path: PathBuf,
    /// Its text, blanked.
    text: String,
    imports: Vec<Import>,
    exports: Vec<String>,
}

struct Import {
    file: String,
    names: Vec<String>,
    at: usize,
}

impl Joiner<'_> {
    /// Takes in the module `name` if it is not there yet; `importer` is a problem for whoever
    /// wants it, should it be the beginning of a circle.
    fn visit(&mut self, name: &str, importer: Option<Problem>) -> Result<(), Problem> {
        match (self.modules.get(name), importer) {
            (Some(Some(_)), _) => return Ok(()),
            (Some(None), Some(circle)) => return Err(circle),
            (Some(None) | None, _) => {}
        }
        self.modules.insert(name.to_owned(), None);
        let module = Module::read(self.folder.join(name))?;
        for import in &module.imports {
            let circle = format!("{} needs this module itself; break the circle", import.file);
            self.visit(&import.file, Some(module.problem(import.at, circle)))?;
            let exports = self.modules.get(&import.file).and_then(Option::as_ref);
            let is_there = |name: &&String| exports.is_some_and(|names| names.contains(name));
            if let Some(missing) = import.names.iter().find(|name| !is_there(name)) {
                let message = format!("{} does not export {missing}", import.file);
                return Err(module.problem(import.at, message));
            }
        }
        self.modules.insert(name.to_owned(), Some(module.exports.clone()));
        self.joined.add(module);
        Ok(())
    }
}

impl Module {
    fn read(path: PathBuf) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(&path).map_err(|error| Problem {
            file: path.clone(),
            line: 0,
            message: format!("cannot be read: {error}"),
        })?;
        let mut module = Self { path, text, imports: Vec::new(), exports: Vec::new() };
        module.take_apart()?;
        Ok(module)
    }

    /// Notes imports and exports, and blanks them out.
    fn take_apart(&mut self) -> Result<(), Problem> {
        let source = self.text.clone();
        let allocator = Allocator::default();
        let parsed = Parser::new(&allocator, &source, SourceType::ts()).parse();
        if let Some(error) = parsed.diagnostics.first() {
            let at = error.labels.first().map_or(0, |label| label.offset());
            return Err(self.problem(at as usize, error.to_string()));
        }
        for statement in &parsed.program.body {
            match statement {
                Statement::ImportDeclaration(import) => {
                    if import.import_kind == ImportOrExportKind::Value {
                        let import = self.import(import)?;
                        self.imports.push(import);
                    }
                    self.blank(import.span);
                }
                Statement::ExportDeclaration(export) => {
                    self.exports.extend(declared(&export.declaration));
                    self.blank(Span::new(export.span.start, export.declaration.span().start));
                }
                other if other.is_module_declaration() => {
                    let message = "write export in front of the declaration itself";
                    return Err(self.problem(other.span().start as usize, message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An import of values.
    fn import(&self, import: &ImportDeclaration<'_>) -> Result<Import, Problem> {
        let at = import.span.start as usize;
        let refuse = |message: &str| Err(self.problem(at, message));
        let source = import.source.value.as_str();
        let Some(stem) = source.strip_prefix("./").and_then(|file| file.strip_suffix(".js")) else {
            return refuse("import from a file beside this one, as in \"./name.js\"");
        };
        let mut names = Vec::new();
        for specifier in import.specifiers.iter().flatten() {
            match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(named)
                    if named.imported.name() == named.local.name
                        && named.import_kind == ImportOrExportKind::Value =>
                {
                    names.push(named.local.name.to_string());
                }
                _ => return refuse("import values by their own names, types by import type"),
            }
        }
        Ok(Import { file: format!("{stem}.ts"), names, at })
    }

    /// Writes spaces over a part of the text, but leaves its lines.
    fn blank(&mut self, span: Span) {
        let range = span.start as usize..span.end as usize;
        let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
        let blanks: String = self.text[range.clone()].bytes().map(blank).collect();
        self.text.replace_range(range, &blanks);
    }

    fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        let line = line_of(&self.text, at);
        Problem { file: self.path.clone(), line, message: message.into() }
    }
}

/// The names of the values that a declaration declares.
fn declared(declaration: &Declaration<'_>) -> Vec<String> {
    match declaration {
        Declaration::VariableDeclaration(variables) => {
            let names = variables.declarations.iter();
            names.filter_map(|one| one.id.get_identifier_name()).map(|n| n.to_string()).collect()
        }
        other => other.id().map(|id| id.name.to_string()).into_iter().collect(),
    }
}

/// The line of a place in `text`, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
