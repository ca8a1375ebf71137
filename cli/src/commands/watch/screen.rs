//! The terminal: taken, painted, given back, whatever happens in between.

use std::io::{self, Stdout, Write, stdout};
use std::panic;
use std::sync::Once;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::view::View;
use crate::commands::status::{Line, Tone};

/// A screen of our own; dropped, the terminal is as it was.
pub struct Screen(());

impl Screen {
    pub fn take() -> io::Result<Self> {
        give_back_in_a_panic();
        enable_raw_mode()?;
        let screen = Self(());
        execute!(stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    /// Paints over what was there. Lines that are too long end at the edge.
    pub fn show(&mut self, view: &View) -> io::Result<()> {
        let (_, height) = size()?;
        let mut out = stdout();
        queue!(out, BeginSynchronizedUpdate)?;
        let lines = view.lines(height.into());
        for (row, line) in (0..height).zip(&lines) {
            queue!(out, MoveTo(0, row))?;
            paint(&mut out, line)?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        // What an earlier, longer picture left below.
        if let Some(below) = u16::try_from(lines.len())
            .ok()
            .filter(|below| *below < height)
        {
            queue!(out, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }
}

fn paint(out: &mut Stdout, line: &Line) -> io::Result<()> {
    match line.tone {
        Tone::Plain => {}
        Tone::Heading => queue!(out, SetAttribute(Attribute::Bold))?,
        Tone::Trouble => queue!(out, SetForegroundColor(Color::Red))?,
    }
    queue!(
        out,
        Print(&line.text),
        ResetColor,
        SetAttribute(Attribute::Reset)
    )
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whatever can be given back is; there is nobody to tell about the rest.
fn give_back() {
    let _ = execute!(stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// What a panic says would be gone with our screen.
fn give_back_in_a_panic() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            say(panic);
        }));
    });
}
