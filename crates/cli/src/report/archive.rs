//! Makes the archive and writes it (I/O). Every part goes through the cover of `secrets` here and
//! nowhere else, so that none can be forgotten.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::Entry;
use super::secrets::Secrets;

/// Only its owner may read it.
const MODE: u32 = 0o600;

/// The archive's bytes, made at `unix_s`; all files lie in the directory `name`, MANIFEST first.
///
/// # Errors
/// When a path is longer than the format allows.
pub(super) fn archive(
    name: &str,
    head: &str,
    unix_s: u64,
    entries: Vec<Entry>,
    secrets: &Secrets,
) -> io::Result<Vec<u8>> {
    let entries: Vec<Entry> = entries.into_iter().map(|entry| covered(entry, secrets)).collect();
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut append = |path: String, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        header.set_mode(MODE);
        header.set_mtime(unix_s);
        header.set_cksum();
        builder.append_data(&mut header, path, content)
    };
    append(format!("{name}/MANIFEST"), manifest(head, &entries, secrets).as_bytes())?;
    for Entry { path, content, .. } in &entries {
        if let Ok(content) = content {
            append(format!("{name}/{path}"), content)?;
        }
    }
    builder.into_inner()?.finish()
}

/// Text without secrets; bytes that hold one are left out.
fn covered(entry: Entry, secrets: &Secrets) -> Entry {
    let Entry { path, about, content } = entry;
    let content = match content.map(String::from_utf8) {
        Ok(Ok(text)) => Ok(secrets.cover(&text).into_bytes()),
        Ok(Err(error)) if secrets.are_in(error.as_bytes()) => {
            Err("it holds a secret, which cannot be covered in it".to_owned())
        }
        Ok(Err(error)) => Ok(error.into_bytes()),
        Err(reason) => Err(secrets.cover(&reason)),
    };
    Entry { path: secrets.cover(&path), about, content }
}

fn manifest(head: &str, entries: &[Entry], secrets: &Secrets) -> String {
    let mut text = format!(
        "Report of a Twinbeat node\n{head}\n{} secrets were found in the configuration and are \
         covered in every file (********).\nNames and addresses are not covered.\n\nIn this archive:\n",
        secrets.count()
    );
    let width = entries.iter().map(|entry| entry.path.len()).max().unwrap_or(0);
    for Entry { path, about, content } in entries {
        if let Ok(content) = content {
            let _ = writeln!(text, "  {path:width$}  {:>9}  {about}", content.len());
        }
    }
    text.push_str("\nNot in it:\n");
    for Entry { path, about, content } in entries {
        if let Err(reason) = content {
            let _ = writeln!(text, "  {path:width$}  {about}: {}", reason.trim());
        }
    }
    text
}

/// Writes a file that was not there before.
///
/// # Errors
/// The system's answer.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
