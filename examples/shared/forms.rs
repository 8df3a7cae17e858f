//! `-F`: the fields of a `multipart/form-data` form, as curl writes them.

// Not every program has a use for all of it.
#![allow(dead_code)]

use crate::exit::{Exit, Failure};
use crate::values::Usage;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use urlsession::{Body, Multipart, Part};

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where its content comes from.
    pub content: Content,
    /// `;type=`.
    pub content_type: Option<String>,
    /// `;filename=`.
    pub file_name: Option<String>,
}

/// Where the content of a field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The command line.
    Text(String),
    /// `@FILE`: a file that is sent as one; `-` is standard input.
    File(PathBuf),
    /// `<FILE`: what a file has in it, as if it had been typed.
    TextOf(PathBuf),
}

impl Field {
    /// Whether it reads standard input.
    pub fn is_stdin(&self) -> bool {
        matches!(&self.content, Content::File(path) | Content::TextOf(path) if is_stdin(path))
    }
}

/// `name=value`, `name=@file`, `name=<file`, each with `;type=…` and `;filename=…`.
pub fn field(text: &str) -> Result<Field, Usage> {
    let (name, rest) = split(text)?;
    // What is in quotes is no mark.
    let (mark, rest) = match rest.chars().next() {
        Some(mark @ ('@' | '<')) => (Some(mark), rest.get(1..).unwrap_or_default()),
        _ => (None, rest),
    };
    let (value, mut rest) = token(rest);
    let content = match mark {
        Some('@') => Content::File(value.into()),
        Some(_) => Content::TextOf(value.into()),
        None => Content::Text(value),
    };
    let mut field = Field { name: name.to_owned(), content, content_type: None, file_name: None };
    while let Some(attribute) = rest.strip_prefix(';') {
        let Some((key, behind)) = attribute.split_once('=') else {
            return Err(Usage(format!("-F: {attribute:?} is no ';type=' and no ';filename='")));
        };
        let (value, behind) = token(behind);
        match key.trim() {
            "type" => field.content_type = Some(value),
            "filename" => field.file_name = Some(value),
            other => return Err(Usage(format!("-F knows ';type=' and ';filename=', not {other:?}"))),
        }
        rest = behind;
    }
    Ok(field)
}

/// `name=value`, whatever is in the value.
pub fn plain_field(text: &str) -> Result<Field, Usage> {
    let (name, value) = split(text)?;
    let content = Content::Text(value.to_owned());
    Ok(Field { name: name.to_owned(), content, content_type: None, file_name: None })
}

/// The form. Its files are read when it is sent, and looked for now. `measured` is as for [`file`].
pub fn form(fields: &[Field], measured: bool) -> Result<Multipart, Failure> {
    let mut form = Multipart::new();
    for field in fields {
        let mut part = match &field.content {
            Content::Text(text) => Part::new(&field.name, text.clone()),
            Content::TextOf(path) => Part::new(&field.name, file(path, measured)?),
            Content::File(path) => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                Part::new(&field.name, file(path, measured)?).file_name(name.unwrap_or_default())
            }
        };
        if let Some(name) = &field.file_name {
            part = part.file_name(name);
        }
        if let Some(content_type) = &field.content_type {
            part = part.content_type(content_type);
        }
        form = form.part(part);
    }
    Ok(form)
}

/// A file as a body, or standard input. `measured`: its length is what it is now, for those who do not
/// leave the sending to the library.
pub fn file(path: &Path, measured: bool) -> Result<Body, Failure> {
    if is_stdin(path) {
        return Ok(Body::reader(io::stdin()));
    }
    // Found out here, it is one line in front of everything, and no connection is made.
    let failed =
        |error: io::Error| Failure::new(Exit::ReadInput, format!("reading {}: {error}", path.display()));
    match fs::metadata(path) {
        Err(error) => Err(failed(error)),
        Ok(metadata) if metadata.is_dir() => Err(failed(io::ErrorKind::IsADirectory.into())),
        // Opening a pipe would take what is in it.
        Ok(metadata) if metadata.is_file() => {
            fs::File::open(path).map_err(failed)?;
            Ok(if measured { Body::file_range(path, ..metadata.len()) } else { Body::file(path) })
        }
        Ok(_) => Ok(Body::file(path)),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn split(text: &str) -> Result<(&str, &str), Usage> {
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() => Ok((name, rest)),
        // The text is not repeated: there may be a secret in it.
        _ => Err(Usage("-F wants name=value, name=@file or name=<file".into())),
    }
}

/// What comes up to the next `;`, or what is in quotes, where a backslash stands before `"` and `\`.
fn token(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                let end = rest.find(';').unwrap_or(rest.len());
                return (value, rest.get(end..).unwrap_or_default());
            }
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    // A quote that is not closed is one like any other letter.
    (text.to_owned(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Content, Option<String>, Option<String>) {
        let field = field(text).expect(text);
        (field.name, field.content, field.content_type, field.file_name)
    }

    #[test]
    fn fields_are_written_as_for_curl() {
        let text = |text: &str| Content::Text(text.into());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parsed("a=b=c"), ("a".into(), text("b=c"), None, None));
        assert_eq!(parsed("a="), ("a".into(), text(""), None, None));
        assert_eq!(parsed("a=b;type=x/y"), ("a".into(), text("b"), some("x/y"), None));
        assert_eq!(parsed(r#"a="b;\"c\"";type=x/y"#), ("a".into(), text("b;\"c\""), some("x/y"), None));
        assert_eq!(
            parsed("a=@f;filename=g;type=x/y"),
            ("a".into(), Content::File("f".into()), some("x/y"), some("g"))
        );
        assert_eq!(parsed(r#"a=@"f;g""#).1, Content::File("f;g".into()));
        assert_eq!(parsed("a=<f").1, Content::TextOf("f".into()));
        assert_eq!(parsed("a=\"@b\"").1, text("@b"));
        assert_eq!(parsed("a=\"b").1, text("\"b"));
        assert_eq!(plain_field("a=@b;c").expect("a field").content, text("@b;c"));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for wrong in ["a", "=b", "", "a=b;c", "a=b;c=d"] {
            assert!(field(wrong).is_err(), "{wrong}");
        }
    }
}
