//! What a package is made of beside the program: completions for shells, and man pages, from the command line itself.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::exit::Code;

/// The verbs that give them; `#[command(flatten)]` them.
#[derive(Debug, Clone, Subcommand)]
pub enum Pages {
    /// Print completions for a shell
    Completions {
        /// Which shell's
        shell: Shell,
    },
    /// Write man pages into a folder: one for the program, one for each verb
    Man {
        /// The folder, which is there
        #[arg(value_parser = folder)]
        folder: PathBuf,
    },
}

impl Pages {
    /// Does so for the program `P`.
    ///
    /// # Errors
    /// The folder can't be written to, or standard output is gone.
    pub fn run<P: CommandFactory>(&self) -> io::Result<()> {
        match self {
            Self::Completions { shell } => {
                let text = completions(P::command(), *shell);
                io::Write::write_all(&mut io::stdout(), &text)
            }
            Self::Man { folder } => man(P::command(), folder),
        }
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err("that is no folder".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A shell's completions of a program.
pub fn completions(mut program: Command, shell: Shell) -> Vec<u8> {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, name.clone(), &mut text);
    if shell != Shell::Bash {
        return text;
    }
    // clap_complete 4.6 arrives at a verb under one name and asks for it under another where the program's own name
    // has a hyphen: `nightdrop__producer__subcmd__run` and `nightdrop__subcmd__producer__subcmd__run`.
    let (asked, arrived) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    String::from_utf8_lossy(&text)
        .replace(
            &format!("{asked}__subcmd__"),
            &format!("{arrived}__subcmd__"),
        )
        .into_bytes()
}

/// Writes `nightdrop-producer.1`, `nightdrop-producer-run.1` and so on.
///
/// # Errors
/// The folder can't be written to.
pub fn man(program: Command, folder: &Path) -> io::Result<()> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    pages(&program, folder)
}

fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages(verb, folder)?;
    }
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    surroundings().to_writer(&mut page)?;
    let path = folder.join(man.get_filename());
    std::fs::write(&path, page)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// What is the same for every verb, and not on its command line.
fn surroundings() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["EXIT STATUS"]);
    for code in Code::ALL {
        page.control("TP", []);
        page.text([bold((code as u8).to_string())]);
        page.text([roman(code.means())]);
    }
    page.control("SH", ["ENVIRONMENT"]);
    page.control("TP", []);
    page.text([bold("NIGHTDROP_CONFIG")]);
    page.text([roman("The configuration file, where -c names none")]);
    page
}
