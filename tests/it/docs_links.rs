//! Every link of the manual leads somewhere: on a forge, where the pages are Markdown, and in the
//! book that `scripts/book` makes of them. The build of the book is part of it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Page, root};

/// Whether a link leads out of the repository; then only its form is looked at.
fn is_external(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

#[test]
fn every_page_stands_in_the_table_of_contents_once() {
    let contents = Page::read("docs/SUMMARY.md");
    let listed: Vec<String> =
        contents.links().iter().map(|link| contents.resolve(&link.to).0).collect();
    let once: BTreeSet<&String> = listed.iter().collect();

    assert_eq!(once.len(), listed.len(), "a page is listed twice: {listed:#?}");
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = format!("docs/{name}");
        let is_page = name.ends_with(".md") && name != "SUMMARY.md";
        assert!(!is_page || listed.contains(&page), "{page} is not in docs/SUMMARY.md");
    }
}

#[test]
fn every_link_between_the_pages_leads_to_a_file_and_a_heading_that_are_there() {
    let pages = Page::all();
    let anchors: HashMap<&str, Vec<String>> =
        pages.iter().map(|page| (page.path.as_str(), page.anchors())).collect();
    let mut wrong = Vec::new();
    for page in &pages {
        for link in page.links() {
            let place = format!("{}:{}: {}", page.path, link.line, link.to);
            if is_external(&link.to) {
                let is_good = link.to.starts_with("https://") || link.to.starts_with("mailto:");
                if !is_good || link.to.contains(char::is_whitespace) {
                    wrong.push(format!("{place}: not an https address"));
                }
                continue;
            }
            let (path, anchor) = page.resolve(&link.to);
            let here = anchors.get(path.as_str());
            if !root().join(&path).is_file() {
                wrong.push(format!("{place}: no such file (a folder is no page of the book)"));
            } else if path.ends_with(".md") && here.is_none() {
                wrong.push(format!("{place}: a page that is not in docs/SUMMARY.md"));
            } else if let (Some(anchor), Some(here)) = (anchor, here)
                && !here.contains(&anchor)
            {
                wrong.push(format!("{place}: no such heading; there are {here:?}"));
            }
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_link_in_the_book_leads_to_a_file_and_an_anchor_that_are_there() {
    let output = Command::new(root().join("scripts/book")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let index = said.lines().last().and_then(|line| line.strip_prefix("book: ")).unwrap();
    let book = root().join(index).parent().unwrap().canonicalize().unwrap();
    let read = |file: PathBuf| (file.clone(), without_code(&fs::read_to_string(file).unwrap()));
    let htmls: HashMap<PathBuf, String> = html_files(&book).into_iter().map(read).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, html) in &htmls {
        // The page for what is not there is asked for at every depth, and has absolute links.
        if file.ends_with("404.html") || file.ends_with("toc.html") {
            continue;
        }
        for link in ["href=\"", "src=\""].iter().flat_map(|attribute| attributes(html, attribute)) {
            if is_external(&link) || link.starts_with("javascript:") || link.starts_with("data:") {
                continue;
            }
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let to = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            let Ok(to) = to.canonicalize() else {
                wrong.push(format!("{}: {link}: no such file", file.display()));
                continue;
            };
            let id = format!("id=\"{anchor}\"");
            if !anchor.is_empty() && htmls.get(&to).is_some_and(|html| !html.contains(&id)) {
                wrong.push(format!("{}: {link}: no such anchor", file.display()));
            }
        }
    }

    assert!(seen > 300, "only {seen} links were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// All pages below `directory`.
fn html_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(html_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "html") {
            files.push(path);
        }
    }
    files
}

/// A page without what it shows as code, which may look like a link.
fn without_code(html: &str) -> String {
    let mut parts = html.split("<code");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once("</code>").map_or("", |(_, behind)| behind));
    }
    rest
}

/// The values of all attributes that begin with `start`, without escapes.
fn attributes(html: &str, start: &str) -> Vec<String> {
    html.match_indices(start)
        .map(|(at, _)| html[at + start.len()..].split('"').next().unwrap().replace("&amp;", "&"))
        .collect()
}
