//! The page of small reports: what is told, what is left out, and that nothing in it is more than text.
