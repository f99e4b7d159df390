//! `ssync completions`: what a shell has to know of this command line.

use std::io::{self, Write as _};

use clap_complete::Shell;

use crate::examples;

/// Prints the script of a shell. Who has read enough of it goes away, and that is no error.
pub(crate) fn print(shell: Shell) -> io::Result<()> {
    match io::stdout().write_all(&script(shell)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut examples::command(), "ssync", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn scripts_have_every_command_and_can_be_parsed() {
        let folder = tempfile::tempdir().unwrap();
        // bash is on every machine that this is built on; the others are asked where they are.
        for (shell, program, is_required) in
            [(Shell::Bash, "bash", true), (Shell::Zsh, "zsh", false), (Shell::Fish, "fish", false)]
        {
            let text = String::from_utf8(script(shell)).unwrap();
            for command in examples::command().get_subcommands().filter(|command| !command.is_hide_set()) {
                assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
            let path = folder.path().join(program);
            std::fs::write(&path, text).unwrap();
            match Command::new(program).arg("-n").arg(&path).output() {
                Ok(parsed) => {
                    assert!(parsed.status.success() && parsed.stderr.is_empty(), "{shell}: {parsed:?}");
                }
                Err(error) => assert!(!is_required, "{program}: {error}"),
            }
        }
    }
}
