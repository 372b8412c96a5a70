//! Reads the paths out of Rust source, well enough for rules about who names whom.

/// A word or a mark of the source, with its line. `::` is one mark.
pub struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Splits the source into words and marks, without comments, strings and characters.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest) {
            length
        } else if first == '\'' {
            // A lifetime is `'` and a word without a second `'`.
            character(rest).unwrap_or(1)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let text = &rest[..length];
        let is_mark = length == first.len_utf8() && !first.is_whitespace() && first != '\'';
        if text == "::" || is_mark || text.chars().all(|each| each.is_alphanumeric() || each == '_') {
            tokens.push(Token { line, text: text.to_owned() });
        }
        line += text.matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(source: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < source.len() {
        if source[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if source[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += source[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the string literal at the beginning, if there is one: `"…"`, `b"…"`, `c"…"`, `r#"…"#`, `br"…"`.
fn string(source: &str) -> Option<usize> {
    let body = source.trim_start_matches(['b', 'c']);
    if source.len() - body.len() > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let text = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = text.find(&end).map_or(text.len(), |at| at + end.len());
        return Some(source.len() - text.len() + length);
    }
    let text = body.strip_prefix('"')?;
    Some(source.len() - text.len() + until_quote(text, '"'))
}

/// The length of the character literal at the beginning, if it is one and no lifetime.
fn character(source: &str) -> Option<usize> {
    let text = &source[1..];
    let mut characters = text.chars();
    let first = characters.next()?;
    (first == '\\' || characters.next() == Some('\'')).then(|| 1 + until_quote(text, '\''))
}

/// The length up to and with the closing quote.
fn until_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, each) in text.char_indices() {
        match each {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if each == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Leaves out the items under `#[cfg(test)]`: tests may name more.
pub fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let mut kept = vec![true; tokens.len()];
    let mut at = 0;
    while at < texts.len() {
        if !texts[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            at += 1;
            continue;
        }
        let begin = at;
        at += 7;
        // What follows ends with `;`, with `,` (a field), or with the brace that closes its first one.
        let mut depth = 0_usize;
        while at < texts.len() {
            match texts[at] {
                "{" | "(" | "[" => depth += 1,
                // That of the surrounding item.
                "}" | ")" | "]" if depth == 0 => break,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let is_end = depth == 0 && matches!(texts[at], ";" | "," | "}");
            at += 1;
            // `use a::{b};` goes on after its brace.
            if is_end && texts.get(at) != Some(&";") {
                break;
            }
        }
        kept[begin..at].fill(false);
    }
    tokens.into_iter().zip(kept).filter_map(|(token, keep)| keep.then_some(token)).collect()
}

/// All paths, with the line of their last word: those into this crate from its root, `crate::…`, the others as they
/// are written. Each branch of a `use` tree is a path of its own.
pub fn paths(tokens: &[Token], module: &[String]) -> Vec<(usize, Vec<String>)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    // The modules within the file, and how many braces were open where each began.
    let mut inner: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        let mut written = Vec::new();
        let end = match text(at) {
            "use" if text(at + 1) != "<" => tree(tokens, at + 1, &[], &mut written),
            "extern" if text(at + 1) == "crate" => tree(tokens, at + 2, &[], &mut written),
            "async" | "await" => {
                written.push((tokens[at].line, vec![tokens[at].text.clone()]));
                at + 1
            }
            // `x.name::<T>()` calls a method.
            _ if tokens[at].is_word() && text(at + 1) == "::" && (at == 0 || text(at - 1) != ".") => {
                tree(tokens, at, &[], &mut written)
            }
            "mod" if text(at + 2) == "{" => {
                inner.push((text(at + 1).to_owned(), depth));
                at + 1
            }
            "{" => {
                depth += 1;
                at + 1
            }
            "}" => {
                depth = depth.saturating_sub(1);
                inner.pop_if(|(_, began)| *began == depth);
                at + 1
            }
            _ => at + 1,
        };
        let here: Vec<&str> =
            module.iter().map(String::as_str).chain(inner.iter().map(|(name, _)| name.as_str())).collect();
        found.extend(written.into_iter().map(|(line, path)| (line, from_the_root(&path, &here))));
        at = end;
    }
    found
}

/// Reads the `use` tree, or the plain path, that begins `at`; gives the place after it.
fn tree(tokens: &[Token], at: usize, stem: &[String], found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = stem.to_vec();
    let mut at = if text(at) == "::" { at + 1 } else { at };
    loop {
        if text(at) == "{" {
            at += 1;
            while at < tokens.len() && text(at) != "}" {
                at = if text(at) == "," { at + 1 } else { tree(tokens, at, &path, found) };
            }
            return at + 1;
        }
        let Some(token) = tokens.get(at) else { return at };
        path.push(token.text.clone());
        let goes_on = text(at + 1) == "::"
            && tokens.get(at + 2).is_some_and(|next| next.is_word() || next.text == "{" || next.text == "*");
        if !goes_on {
            found.push((token.line, path));
            return if text(at + 1) == "as" { at + 3 } else { at + 1 };
        }
        at += 2;
    }
}

/// Resolves `crate`, `self` and `super` at the beginning of a path that is written in the module `here`.
fn from_the_root(written: &[String], here: &[&str]) -> Vec<String> {
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let (base, rest): (Vec<&str>, &[&str]) = match written.as_slice() {
        // The binary calls the library by its name.
        ["crate" | "guardian_auth", rest @ ..] => (vec!["crate"], rest),
        ["self" | "super", ..] => {
            let relative = written.strip_prefix(&["self"]).unwrap_or(&written);
            let ups = relative.iter().take_while(|word| **word == "super").count();
            let kept = here.len().saturating_sub(ups);
            (std::iter::once("crate").chain(here[..kept].iter().copied()).collect(), &relative[ups..])
        }
        outside => (Vec::new(), outside),
    };
    base.iter().chain(rest).map(|word| (*word).to_owned()).collect()
}
