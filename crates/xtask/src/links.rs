//! Relative links of the documentation: each leads to a file that is there, and to a heading that it
//! has. Links to other places are not followed.
#![expect(clippy::disallowed_methods, reason = "reads the documentation")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Pages beside `docs`.
const TOP: [&str; 4] = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

/// Links below `root` that lead nowhere.
pub(crate) fn broken(root: &Path) -> Vec<String> {
    let mut pages: Vec<PathBuf> = TOP.iter().map(|name| root.join(name)).collect();
    collect(&root.join("docs"), &mut pages);
    pages.sort();
    let mut faults = Vec::new();
    for page in pages {
        let name = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        match std::fs::read_to_string(&page) {
            Ok(text) => {
                let bad = links(&text).into_iter().filter_map(|(line, target)| {
                    let why = fault(&page, &text, &target)?;
                    Some(format!("{name}:{line}: link `{target}`: {why}"))
                });
                faults.extend(bad);
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    faults
}

/// Markdown files below `folder`.
pub(crate) fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
}

fn fault(page: &Path, own: &str, target: &str) -> Option<String> {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = page.parent()?.join(file);
    let text = if file.is_empty() {
        own.to_owned()
    } else if !path.exists() {
        return Some("there is no such file".to_owned());
    } else if heading.is_empty() {
        return None;
    } else {
        std::fs::read_to_string(&path).unwrap_or_default()
    };
    (!headings(&text).contains(heading)).then(|| format!("no heading makes `#{heading}`"))
}

/// Lines outside of fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Relative targets of `[text](target)` and their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// The anchors that a page has, as GitHub makes them of its headings.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    titles.map(|title| anchor(title.trim_start_matches('#').trim())).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](b.md) and [c](../d.md#e)\n```\n[no](x)\n```\n[out](https://example.org)\n";
        let expect = [(1, "b.md".to_owned()), (1, "../d.md#e".to_owned())];
        assert_eq!(links(text), expect);
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        let page = crate::root().join("docs/ARCHITECTURE.md");
        let own = "# Bird's eye\n";
        let check = |target: &str, expect: Option<&str>| {
            let found = fault(&page, own, target);
            match expect {
                Some(part) => assert!(
                    found.as_deref().is_some_and(|it| it.contains(part)),
                    "{target}: {found:?}"
                ),
                None => assert_eq!(found, None, "{target}"),
            }
        };
        check("glossary.md", None);
        check("../README.md#try-it", None);
        check("#birds-eye", None);
        check("no-such-file.md", Some("no such file"));
        check("../README.md#no-such-heading", Some("no heading"));
        check("#elsewhere", Some("no heading"));
    }
}
