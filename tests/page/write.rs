//! Writes the page of a busy node to standard output, for `tests/page/picture`.

#![forbid(unsafe_code)]

mod sample;

fn main() {
    print!("{}", ssync_page::html(&sample::busy()));
}
