//! Which input a target was working on when it panicked, for people: as bytes to put into a file of
//! the corpus. It catches nothing; the panic goes on.
#![allow(clippy::print_stderr, reason = "tells people what broke")]

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

use crate::Target;

thread_local! {
    static CURRENT: RefCell<(&'static str, Vec<u8>)> = const { RefCell::new(("", Vec::new())) };
}

/// Runs `target` on `input` and remembers both for the case of a panic.
pub fn run(target: &Target, input: &[u8]) {
    CURRENT.with_borrow_mut(|current| {
        current.0 = target.name;
        current.1.clear();
        current.1.extend_from_slice(input);
    });
    (target.run)(input);
    CURRENT.with_borrow_mut(|current| current.0 = "");
}

/// From here on a panic inside [`run`] prints the input, also where a panic ends the process.
pub fn print_failing_input() {
    static ONCE: Once = Once::new();
    ONCE.call_once(set_hook);
}

fn set_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        let told = CURRENT.try_with(|current| {
            if let Ok(current) = current.try_borrow()
                && !current.0.is_empty()
            {
                eprintln!("{}", describe(current.0, &current.1));
            }
        });
        // Without it there is only the panic's own message.
        let _ = told;
    }));
}

fn describe(target: &str, input: &[u8]) -> String {
    let digits: String = input.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!(
        "{target} breaks on {} bytes: {}\nTo keep it, from the top of the repository:\n  \
         printf '{digits}' > tests/fuzz/corpus/{target}/WHAT-IT-SHOWS",
        input.len(),
        input.escape_ascii()
    )
}
