//! haresources → [`Group`]s: preferred node, resources, addresses, each with its place. Whether a
//! node exists and what collides with what is `check`'s work.

mod address;
mod resource;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::ha_cf::{is_node_name, shorten};
use crate::lexer::{self, LogicalLine, Word};
use crate::settings::{NodeName, ResourceSpec};
use crate::source::SourceFile;
use crate::span::{FileId, Span, Spanned};

pub(crate) use resource::owned_address;

/// One logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where the group lives when it may choose.
    pub node: Spanned<NodeName>,
    /// Started left to right. What could not be understood is left out (and is an error); a line
    /// without resources has none.
    pub resources: Vec<Spanned<ResourceSpec>>,
}

/// Reads haresources. Never fails: what cannot be understood is left out and reported.
pub fn parse(source: &SourceFile) -> (Vec<Group>, Vec<Diagnostic>) {
    let mut sink = Sink::new(FileId::HaResources);
    lexer::check_characters(source, FileId::HaResources, &mut sink);
    let mut groups = Vec::new();
    let mut only_here = Vec::new();
    for line in lexer::logical_lines(source, FileId::HaResources) {
        check_line(&line, &mut sink);
        groups.extend(group(&line, &mut only_here, &mut sink));
    }
    if let Some(found) = only_twinbeat(&only_here) {
        sink.push(found);
    }
    (groups, sink.finish())
}

/// The resource that one word of haresources names; `None` when it names none.
pub fn parse_resource(word: &str) -> Option<ResourceSpec> {
    let span = Span::new(FileId::HaResources, 0, word.len());
    resource::parse(&Word { text: word.to_owned(), span }).ok().map(|parsed| parsed.spec)
}

fn group(
    line: &LogicalLine,
    only_here: &mut Vec<(Span, &'static str)>,
    sink: &mut Sink,
) -> Option<Group> {
    let (node, words) = line.words.split_first()?;
    if !is_node_name(&node.text) {
        sink.push(bad_node(node));
        return None;
    }
    if words.is_empty() {
        let text = format!("the line of `{}` has no resources", shorten(&node.text));
        sink.push(
            Diagnostic::new(Code::GroupWithoutResources, text)
                .at(node.span, "nothing is started here")
                .help("add the resources behind the node, or remove the line"),
        );
    }
    let mut resources = Vec::new();
    for word in words {
        let quotes = word.text.contains(['"', '\'', '`']);
        match resource::parse(word) {
            Ok(parsed) => {
                if quotes {
                    sink.push(quoted(word));
                }
                only_here.extend(parsed.only_twinbeat.map(|why| (word.span, why)));
                if let Some(warning) = parsed.warning {
                    sink.push(warning);
                }
                resources.push(Spanned::new(parsed.spec, word.span));
            }
            Err(found) if quotes => {
                sink.push(found.help("quotes do not quote here: an argument cannot hold blanks"));
            }
            Err(found) => sink.push(*found),
        }
    }
    let node = Spanned::new(NodeName::new(&node.text), node.span);
    Some(Group { node, resources })
}

fn bad_node(node: &Word) -> Diagnostic {
    let shown = shorten(&node.text);
    let found = Diagnostic::new(Code::InvalidNodeName, format!("`{shown}` cannot be a node name"))
        .at(node.span, "a line begins with the group's preferred node");
    match resource::parse(node).is_ok_and(|parsed| parsed.spec.built_in.is_some()) {
        true => found.help(format!("write the node before it: `NODE {shown} …`")),
        false => found
            .maybe_help(lexer::comment_hint(&node.text))
            .help("write the output of `uname -n` on that node"),
    }
}

fn check_line(line: &LogicalLine, sink: &mut Sink) {
    for span in &line.late_comments {
        sink.push(
            Diagnostic::new(
                Code::CommentOnContinuation,
                "a comment on a continued line is taken for resources by Heartbeat 3.0.6",
            )
            .at(*span, "skipped here; words to start for 3.0.6")
            .help("move the comment to a line of its own above the group"),
        );
    }
    for word in &line.glued {
        sink.push(
            Diagnostic::new(
                Code::ContinuationGluesWords,
                format!("the continued line makes one word: `{}`", shorten(&word.text)),
            )
            .at(word.span, "no blank takes the place of the backslash")
            .help("if these are two resources, put a blank before the backslash"),
        );
    }
    if let Some(span) = line.hidden {
        sink.push(
            Diagnostic::new(
                Code::BackslashInComment,
                "a backslash at the end of a comment does not continue the line",
            )
            .at(span, "part of the comment; the next line is a group of its own")
            .help("move the comment to a line of its own above the group"),
        );
    }
    if let Some(span) = line.dangling {
        sink.push(
            Diagnostic::new(Code::ContinuationAtEnd, "the last line ends in a backslash")
                .at(span, "there is no next line to join")
                .help("remove the backslash; is the end of the file missing?"),
        );
    }
}

fn quoted(word: &Word) -> Diagnostic {
    Diagnostic::new(
        Code::QuotesInResource,
        format!("`{}` has quotes, which do not quote here", shorten(&word.text)),
    )
    .at(word.span, "given to the script as it stands")
    .help("remove the quotes; an argument cannot hold blanks")
}

/// One note for all of them: the reader needs it once.
fn only_twinbeat(places: &[(Span, &'static str)]) -> Option<Diagnostic> {
    /// More marks make the note longer, not clearer.
    const MAX_MARKS: usize = 5;
    let (first, why) = places.first()?;
    let mut found = Diagnostic::new(
        Code::OnlyTwinbeat,
        "Heartbeat 3.0.6 does not understand every resource of this file",
    )
    .at(*first, *why);
    for (span, why) in places.iter().skip(1).take(MAX_MARKS - 1) {
        found = found.see(*span, *why);
    }
    Some(found.help("this is fine when both nodes run Twinbeat"))
}

#[cfg(test)]
mod tests;
