//! Just enough of Rust's lexical grammar to tell code from comments, text and tests.

/// One word or piece of punctuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// An identifier, a number, `::`, or one other character.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// A file's tokens without comments, literals and items under `#[cfg(test)]`.
#[derive(Debug, Default)]
pub struct Code {
    /// What is compiled into the program.
    pub tokens: Vec<Token>,
    /// Names of `#[cfg(test)] mod name;`: other files that are tests.
    pub test_modules: Vec<String>,
}

impl Code {
    /// Reads a file. It need not be valid Rust: what is odd is kept as tokens.
    pub fn read(text: &str) -> Code {
        without_tests(tokens(text))
    }

    /// For `std` at `at`: the first path part of each thing named, so `fs` in `std::fs::read` and in `std::{fmt, fs::File}`.
    pub fn path_heads_after(&self, at: usize) -> Vec<&Token> {
        let text = |i: usize| self.tokens.get(i).map_or("", |token| token.text.as_str());
        if text(at + 1) != "::" {
            return Vec::new();
        }
        if text(at + 2) != "{" {
            return self.tokens.get(at + 2).into_iter().collect();
        }
        let mut heads = Vec::new();
        let mut depth = 0_usize;
        for i in at + 2..self.tokens.len() {
            match text(i) {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 1 && matches!(text(i), "{" | ",") {
                heads.extend(self.tokens.get(i + 1));
            }
        }
        heads
    }
}

/// Where the module `name`, declared in the file at `path`, lives: the path without `.rs` or `/mod.rs`.
pub fn module_root(path: &str, name: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/{name}"),
        _ => format!("{folder}/{}/{name}", file.trim_end_matches(".rs")),
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        let here = line;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => i = block_comment_end(&chars, i),
            '"' => i = string_end(&chars, i),
            '\'' => match char_literal_end(&chars, i) {
                Some(end) => i = end,
                None => i += 1, // a lifetime: its name is read as a word, which does no harm
            },
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let prefix = matches!(word.as_str(), "r" | "b" | "br" | "c" | "cr");
                if prefix && raw_string_hashes(&chars, i).is_some() && word != "b" && word != "c" {
                    i = raw_string_end(&chars, i);
                } else if prefix && at(i) == '"' {
                    i = string_end(&chars, i);
                } else if word == "b" && at(i) == '\'' {
                    i = char_literal_end(&chars, i).unwrap_or(i + 1);
                } else if word == "r" && at(i) == '#' {
                    i += 1; // a raw identifier: the word that follows is read by itself
                } else {
                    out.push(Token { text: word, line: here });
                }
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                out.push(Token { text: "::".into(), line: here });
            }
            c if c.is_whitespace() => i += 1,
            c => {
                i += 1;
                out.push(Token { text: c.into(), line: here });
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = start;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    i
}

fn string_end(chars: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `Some` if a raw string starts here: how many `#` stand before its quote.
fn raw_string_hashes(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    (chars.get(from + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_string_end(chars: &[char], from: usize) -> usize {
    let hashes = raw_string_hashes(chars, from).unwrap_or(0);
    let mut i = from + hashes + 1;
    while i < chars.len() {
        if chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

/// The end of `'x'`, `'\n'` or `'\u{1F6A2}'`; `None` for a lifetime.
fn char_literal_end(chars: &[char], quote: usize) -> Option<usize> {
    if chars.get(quote + 1) == Some(&'\\') {
        // The escaped character itself may be a quote.
        let close = chars.iter().skip(quote + 3).take(10).position(|c| *c == '\'')?;
        return Some(quote + 3 + close + 1);
    }
    (chars.get(quote + 2) == Some(&'\'')).then_some(quote + 3)
}

/// Drops every item under an attribute `#[cfg(test)]` or `#[cfg(all(test, …))]`, and remembers `mod name;` among them.
fn without_tests(tokens: Vec<Token>) -> Code {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut code = Code::default();
    let mut i = 0;
    while i < tokens.len() {
        let for_tests = text(i) == "#"
            && text(i + 1) == "["
            && text(i + 2) == "cfg"
            && text(i + 3) == "("
            && (text(i + 4) == "test" || (text(i + 4) == "all" && text(i + 6) == "test"));
        if !for_tests {
            code.tokens.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i = bracketed_end(&tokens, i + 1);
        // Further attributes of the same item.
        while text(i) == "#" && text(i + 1) == "[" {
            i = bracketed_end(&tokens, i + 1);
        }
        let item = i;
        // The item ends with its first `;` or with its first block, outside brackets and parentheses.
        while i < tokens.len() {
            match text(i) {
                "(" | "[" => i = bracketed_end(&tokens, i),
                "{" => {
                    i = bracketed_end(&tokens, i);
                    break;
                }
                ";" => {
                    i += 1;
                    break;
                }
                _ => i += 1,
            }
        }
        let words: Vec<&str> = (item..i).map(text).collect();
        if let [.., "mod", name, ";"] = words[..] {
            code.test_modules.push(name.to_owned());
        }
        // `use a::{b, c};` ends after its block.
        if words.contains(&"use") && text(i) == ";" {
            i += 1;
        }
    }
    code
}

/// The index after the bracket that closes the one at `open`.
fn bracketed_end(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}
