//! A check that markup is well formed, for tests: every element ends, in order, and no text has
//! a bare `<` or `&`.

/// Elements of HTML that have no end.
const VOID: &[&str] = &["meta", "br", "hr", "link", "img"];

/// Says what is wrong with `markup`, if anything is.
pub fn check(markup: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at])?;
        let tag_end = end_of_tag(&rest[at..]).ok_or("a tag does not end")?;
        let tag = &rest[at + 1..at + tag_end];
        rest = &rest[at + tag_end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop();
            if expected != Some(name) {
                return Err(format!("</{name}> where {expected:?} is open"));
            }
            continue;
        }
        let name = tag.split_whitespace().next().unwrap_or_default();
        check_attributes(&tag[name.len()..])?;
        if name == "style" {
            let end = rest.find("</style>").ok_or("the style does not end")?;
            rest = &rest[end + "</style>".len()..];
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    check_text(rest)?;
    if open.is_empty() { Ok(()) } else { Err(format!("left open: {open:?}")) }
}

/// The place of the `>` that ends the tag at the beginning of `text`.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, letter)| {
        quoted ^= letter == '"';
        (letter == '>' && !quoted).then_some(at)
    })
}

fn check_text(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
        if !known.iter().any(|entity| text[at..].starts_with(entity)) {
            return Err(format!("a bare & in {text:?}"));
        }
    }
    if text.contains('>') { Err(format!("a bare > in {text:?}")) } else { Ok(()) }
}

fn check_attributes(text: &str) -> Result<(), String> {
    let mut rest = text.trim_start();
    let mut names: Vec<&str> = Vec::new();
    while !rest.is_empty() {
        let (name, value) =
            rest.split_once("=\"").ok_or(format!("an attribute without a value: {rest:?}"))?;
        let (value, after) = value.split_once('"').ok_or("a value does not end")?;
        if name.is_empty() || name.contains(char::is_whitespace) || names.contains(&name) {
            return Err(format!("a bad attribute: {name:?}"));
        }
        if value.contains('<') {
            return Err(format!("a bare < in {value:?}"));
        }
        check_text(&value.replace('>', ""))?;
        names.push(name);
        rest = after.trim_start();
    }
    Ok(())
}

#[test]
fn what_is_not_well_formed_is_found() {
    for good in ["<a href=\"x\">y</a>", "<p>1 &lt; 2</p>", "<g><line></line></g>", "<br>"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in ["<a>", "<a></b>", "<a b></a>", "<p>1 & 2</p>", "<a b=\"c\" b=\"d\"></a>", "<a"] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
